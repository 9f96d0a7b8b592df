"""The commands of auditors: sessions, audit, recordings. They show everything, and change nothing."""

import asyncio
import re
import shutil
import sys
from datetime import UTC
from itertools import islice
from typing import Final

from telnetsd.audit.reading.row import describe, read_event, short_session_id
from telnetsd.audit.reading.tail import last_lines
from telnetsd.commands.caller import Caller
from telnetsd.commands.programs import ProgramRun, run_program
from telnetsd.commands.table import AUDITOR_ROLE, CommandError, command
from telnetsd.commands.wording import duration
from telnetsd.errors import OperatorError
from telnetsd.events.reason import CommandReason
from telnetsd.lines.recordings.name import parse_name
from telnetsd.lines.recordings.playback import find_recording, list_recordings
from telnetsd.programs.running import PATH

EVENTS_SHOWN: Final = 10
EVENTS_MAX: Final = 200
RECORDINGS_SHOWN: Final = 20
RECORDING_MAX_BYTES: Final = 16 * 2**20
RECORDING_TIMEOUT_S: Final = 600.0
_showing: Final = asyncio.Lock()
"""Each recording that is shown costs a process: one at a time in each process of the server."""
_RECORDING: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


@command("sessions", summary="list open sessions and their sources", role=AUDITOR_ROLE)
async def sessions(caller: Caller, _: str) -> None:
    """List the sessions with their sources."""
    caller.say(
        f"{'id':<8} {'user':<16} {'from':<22} {'since (UTC)':<16} {'idle':>5}  {'certificate':<11} {'tls':<4} line"
    )
    for row in await caller.services.sessions.rows():
        caller.say(
            f"{short_session_id(row.id)} {row.user:<16} {row.source:<22} {row.started_at:%Y-%m-%d %H:%M} "
            f"{duration(row.idle_s):>5}  {row.certificate_status:<11} {row.tls:<4} {row.line or '-'}"
        )


@command(
    "audit",
    summary=f"show the last N events of the audit log ({EVENTS_SHOWN})",
    role=AUDITOR_ROLE,
    usage="[N]",
    arguments=(0, 1),
)
async def audit(caller: Caller, arguments: str) -> None:
    """Show the end of the audit log."""
    is_number = re.fullmatch("[0-9]{1,4}", arguments) is not None
    count = int(arguments) if is_number else 0 if arguments else EVENTS_SHOWN
    if not 1 <= count <= EVENTS_MAX:
        raise CommandError(CommandReason.WRONG_USAGE, f"usage: audit [N], N from 1 to {EVENTS_MAX}")
    lines = await asyncio.to_thread(last_lines, caller.services.audit_file, count)
    for row in map(describe, map(read_event, lines)):
        caller.say(
            f"{row.time(UTC, '%m-%d %H:%M:%S')} {row.outcome_letter} {row.user:<8} {row.action:<17} {row.what}"
        )


@command(
    "recordings",
    summary=f"list the last {RECORDINGS_SHOWN} recordings, or show the text of one",
    role=AUDITOR_ROLE,
    usage="[NAME]",
    arguments=(0, 1),
)
async def recordings(caller: Caller, arguments: str) -> None:
    """List the recordings, or show what one has recorded, each line with its time."""
    folder = caller.services.recordings_folder
    if not arguments:
        await _list(caller)
        return
    if _RECORDING.fullmatch(arguments) is None:
        raise CommandError(CommandReason.NOT_FOUND, "that is not the name of a recording; see `recordings`")
    try:
        path = await asyncio.to_thread(find_recording, folder, arguments)
    except OperatorError as error:
        message = f"no recording, or more than one, ends with {arguments!r}; see `recordings`"
        raise CommandError(CommandReason.NOT_FOUND, message) from error
    # In a process of its own: a long recording takes seconds of CPU.
    home = str(folder.parent.parent)
    nice = shutil.which("nice", path=PATH)
    first = (nice, "-n", "10") if nice is not None else ()
    words = (*first, sys.executable, "-P", "-m", "telnetsd", "--home", home, "recording", "export", path.name)
    run = ProgramRun(
        name="recordings", words=words, timeout_s=RECORDING_TIMEOUT_S, output_max_bytes=RECORDING_MAX_BYTES
    )
    if _showing.locked():
        raise CommandError(CommandReason.BUSY, "another recording is being shown; try again in a moment")
    async with _showing:
        await run_program(run, caller)


async def _list(caller: Caller) -> None:
    found = await asyncio.to_thread(list_recordings, caller.services.recordings_folder)
    named = ((path, parse_name(path.name)) for path in sorted(found, key=lambda one: one.name, reverse=True))
    rows = [(path, name) for path, name in islice(named, RECORDINGS_SHOWN) if name is not None]
    if not rows:
        caller.say("there are no recordings")
    for path, name in reversed(rows):
        caller.say(f"{name.begun_at:%Y-%m-%d %H:%M:%S} UTC  {name.line:<16} {path.name}")
