"""The commands for lines: lines, connect."""

from collections.abc import Sequence
from typing import Final

from telnetsd.commands.caller import Caller
from telnetsd.commands.table import OPERATOR_ROLE, USER_ROLE, CommandError, command
from telnetsd.events.reason import CommandReason
from telnetsd.lines.row_words import words_of
from telnetsd.lines.table import Line
from telnetsd.rpc.messages import Join

_JOINS: Final = {"--read-only": Join.WATCH, "--force": Join.FORCE}
USAGE: Final = "NAME [--read-only | --force]"


@command("lines", summary="list the lines that you may connect to", role=USER_ROLE)
async def lines(caller: Caller, _: str) -> None:
    """List the caller's lines, with the state of each."""
    services = caller.services
    mine = services.lines.permitted(services.table.roles_of(caller.identity), caller.identity.assurance_class)
    if not mine:
        caller.say("you have access to no lines")
        return
    width = max(len(line.name) for line in mine)
    for row in await services.directory.rows(mine):
        description = f"  ({row.description})" if row.description else ""
        caller.say(f"{row.name:<{width}}  {row.kind:<6}  {words_of(row)}{description}")


def _check(caller: Caller, arguments: str) -> None:
    _line_of(caller, arguments)


def _line_of(caller: Caller, arguments: str) -> tuple[Line, Join]:
    """Return the requested line and how to join it, if the caller may do that.

    Raises:
        CommandError: The arguments do not match the usage.
        LineError: The caller has access to no such line.
    """
    services, words = caller.services, arguments.split()
    names = [word for word in words if not word.startswith("--")]
    joins = [_JOINS[word] for word in words if word in _JOINS]
    if len(names) != 1 or len(names) + len(joins) != len(words) or len(joins) > 1:
        raise CommandError(CommandReason.WRONG_USAGE, f"usage: connect {USAGE}")
    roles = services.table.roles_of(caller.identity)
    join = joins[0] if joins else Join.WRITE
    if join is Join.FORCE and OPERATOR_ROLE not in roles:
        join = Join.RECLAIM
    return services.lines.authorise(names[0], roles, caller.identity.assurance_class), join


async def _complete(caller: Caller) -> Sequence[str]:
    services = caller.services
    mine = services.lines.permitted(services.table.roles_of(caller.identity), caller.identity.assurance_class)
    return [*(line.name for line in mine), *_JOINS]


@command(
    "connect",
    summary="connect to a line (~. leaves it)",
    role=USER_ROLE,
    usage=USAGE,
    arguments=(1, 2),
    check=_check,
    completes=_complete,
)
async def connect(caller: Caller, arguments: str) -> None:
    """Connect the session to a line."""
    line, join = _line_of(caller, arguments)
    await caller.connect(line, join)
