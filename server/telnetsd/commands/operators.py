"""The commands of operators: sessions, kick, wall, audit."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC
from typing import Final

from telnetsd.audit.reading.row import describe, read_event, short_session_id
from telnetsd.audit.reading.tail import last_lines
from telnetsd.commands.caller import Caller
from telnetsd.commands.table import ARGUMENTS_MAX, OPERATOR_ROLE, CommandError, command
from telnetsd.commands.wording import duration
from telnetsd.escaping import escape
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.events.reason import CommandReason
from telnetsd.identity.outcome import NamedUser

EVENTS_SHOWN: Final = 10
EVENTS_MAX: Final = 200
SESSION_ID_MIN_CHARS: Final = 4


@command("sessions", summary="list open sessions and their sources", role=OPERATOR_ROLE)
async def sessions(caller: Caller, _: str) -> None:
    """List the sessions for an operator, who may end them."""
    caller.say(f"{'id':<8} {'user':<16} {'from':<22} {'since (UTC)':<16} {'idle':>5}  {'certificate':<11} tls")
    for row in await caller.services.sessions.rows():
        caller.say(
            f"{short_session_id(row.id)} {row.user:<16} {row.source:<22} {row.started_at:%Y-%m-%d %H:%M} "
            f"{duration(row.idle_s):>5}  {row.certificate_status:<11} {row.tls}"
        )


async def _complete_session(caller: Caller) -> Sequence[str]:
    return [short_session_id(row.id) for row in await caller.services.sessions.rows()]


@command(
    "kick",
    summary="end a session; ID as shown by `sessions`",
    role=OPERATOR_ROLE,
    usage="ID",
    arguments=(1, 1),
    completes=_complete_session,
)
async def kick(caller: Caller, arguments: str) -> None:
    """End a session."""
    is_long = len(arguments) >= SESSION_ID_MIN_CHARS
    found = await caller.services.sessions.matching(arguments) if is_long else []
    if len(found) != 1:
        shown = escape(arguments, TEXT_MAX_CHARS)
        raise CommandError(CommandReason.NOT_FOUND, f"no session {shown}: see `sessions`")
    await caller.services.sessions.kick(found[0].id, by=_name(caller))
    caller.say(f"session {short_session_id(found[0].id)} of {found[0].user} has ended")


@command(
    "wall",
    summary="send a message to all other sessions",
    role=OPERATOR_ROLE,
    usage="MESSAGE",
    arguments=(1, ARGUMENTS_MAX),
)
async def wall(caller: Caller, arguments: str) -> None:
    """Show a line in every other session."""
    text = f"{_name(caller)} to all: {escape(arguments, TEXT_MAX_CHARS)}"
    count = await caller.services.sessions.tell_others(caller.id, text)
    caller.say(f"sent to {count or 'no'} other session{'' if count == 1 else 's'}")


@command(
    "audit",
    summary=f"show the last N events of the audit log ({EVENTS_SHOWN})",
    role=OPERATOR_ROLE,
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


def _name(caller: Caller) -> str:
    return caller.identity.name if isinstance(caller.identity, NamedUser) else "a guest"
