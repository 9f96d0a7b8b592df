"""An example of a command in a package of its own: how long the machine has been up."""

import asyncio
from pathlib import Path

from telnetsd.plugin import Caller, CommandError, CommandReason, command


@command("uptime", summary="how long this machine has been up", role="user", usage="[days]", arguments=(0, 1))
async def uptime(caller: Caller, arguments: str) -> None:
    """Say it in hours, or in days where the user asks for days."""
    if arguments not in {"", "days"}:
        raise CommandError(CommandReason.WRONG_USAGE, "usage: uptime [days]")
    # What waits for a disk or a network does so in a thread: the event loop serves every session.
    text = await asyncio.to_thread(Path("/proc/uptime").read_text, encoding="ascii")
    seconds = float(text.split()[0])
    caller.say(f"{seconds / 86400:.1f} days" if arguments else f"{seconds / 3600:.1f} hours")
