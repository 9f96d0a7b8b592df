"""The commands of named users: who, date, history, echo."""

from datetime import UTC, datetime

from telnetsd.commands.caller import Caller
from telnetsd.commands.table import ARGUMENTS_MAX, USER_ROLE, command
from telnetsd.commands.wording import duration


@command("who", summary="list connected users", role=USER_ROLE)
async def who(caller: Caller, _: str) -> None:
    """List the sessions: the user, the start, and how long it has been idle."""
    caller.say(f"{'user':<16} {'since (UTC)':<16} {'idle':>6}  line")
    for row in await caller.services.sessions.rows():
        mark = "  (this session)" if row.id == caller.id else ""
        times = f"{row.started_at:%Y-%m-%d %H:%M} {duration(row.idle_s):>6}"
        caller.say(f"{row.user:<16} {times}  {row.line or '-'}{mark}")


@command("date", summary="show the server's date and time (UTC)", role=USER_ROLE)
async def date(caller: Caller, _: str) -> None:
    """Show the time, in the format of RFC 3339."""
    caller.say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")


@command("history", summary="show the last lines of this session", role=USER_ROLE)
async def history(caller: Caller, _: str) -> None:
    """List what was typed."""
    for number, line in enumerate(caller.history, 1):
        caller.say(f"{number:>3}  {line}")


@command("echo", summary="repeat the words", role=USER_ROLE, usage="WORDS", arguments=(0, ARGUMENTS_MAX))
async def echo(caller: Caller, arguments: str) -> None:
    """Show what the user typed: their own words on their own terminal, unchanged."""
    caller.say(arguments)
