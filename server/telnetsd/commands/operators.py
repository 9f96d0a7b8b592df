"""The commands of operators: kick, wall."""

from collections.abc import Sequence
from typing import Final

from telnetsd.audit.reading.row import short_session_id
from telnetsd.commands.caller import Caller
from telnetsd.commands.table import ARGUMENTS_MAX, OPERATOR_ROLE, CommandError, command
from telnetsd.escaping import escape
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.events.reason import CommandReason
from telnetsd.identity.outcome import NamedUser

SESSION_ID_MIN_CHARS: Final = 4


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


def _name(caller: Caller) -> str:
    return caller.identity.name if isinstance(caller.identity, NamedUser) else "a guest"
