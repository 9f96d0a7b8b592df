"""Load the commands: the built-in ones, and those of installed packages.

A package registers a `Command` under the entry-point group `telnetsd.commands`; docs/commands.md has an example.
"""

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from telnetsd.commands import auditors, enrolment, everyone, lines, operators, users
from telnetsd.commands.table import Command
from telnetsd.errors import OperatorError

ENTRY_POINT_GROUP: Final = "telnetsd.commands"
BUILT_IN: Final = (
    everyone.help_,
    everyone.whoami,
    everyone.motd,
    everyone.quit_,
    enrolment.enroll,
    enrolment.collect,
    enrolment.renew,
    enrolment.ca,
    users.who,
    users.date,
    users.history,
    users.echo,
    auditors.sessions,
    auditors.audit,
    auditors.recordings,
    operators.kick,
    operators.wall,
    lines.lines,
    lines.connect,
)


def load_commands() -> Iterator[Command]:
    """Yield every command of this installation.

    Raises:
        OperatorError: A package registers something that cannot be loaded or is not a command.
    """
    yield from BUILT_IN
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        yield _load(entry_point)


def _load(entry_point: EntryPoint) -> Command:
    where = f"command {entry_point.name!r} ({entry_point.value})"
    try:
        loaded = entry_point.load()
    except Exception as error:
        raise OperatorError(f"{where} cannot be loaded: {error}; repair or uninstall its package") from error
    if not isinstance(loaded, Command):
        raise OperatorError(f"{where} is not a telnetsd.commands.table.Command; repair or uninstall its package")
    return loaded
