"""telnetsd audit tail."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from telnetsd.audit.reader import EventRow, describe_line, follow, last_lines
from telnetsd.cli.common import HomeOption, console, home_of, is_terminal
from telnetsd.errors import OperatorError

app = typer.Typer(help="Read the audit log.", no_args_is_help=True, rich_markup_mode=None)

_COLOURS = {"success": "green", "failure": "red"}
_WIDE_COLUMNS = 130
"""From this width on, where somebody came from and the session are shown as well."""
_HEADER = EventRow("time (UTC)", "outcome", "user", "source", "session", "action", "what")


@app.callback()
def group() -> None:
    """Read the audit log."""


@app.command()
def tail(
    context: typer.Context,
    n: Annotated[int, typer.Option("-n", metavar="N", min=0, help="How many of the last events.")] = 20,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each event as it is written.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The lines as they are in the file.")] = False,
    home: HomeOption = None,
) -> None:
    """Show the last events, and with -f those that come."""
    path = home_of(context, home).audit_file
    if not following and not path.exists():
        raise OperatorError(f"no audit log at {path} yet; the first event makes it: is this the home folder?")
    lines: Iterable[bytes] = follow(path, n) if following else last_lines(path, n)
    if json:
        for line in lines:
            typer.echo(line)
        return
    screen = console()
    _print(screen, _HEADER, is_header=True)
    for line in lines:
        _print(screen, describe_line(line))


def _print(screen: Console, row: EventRow, *, is_header: bool = False) -> None:
    line = Text(style="bold" if is_header else "")
    line.append(f"{row.time:<19}  ")
    line.append(f"{row.outcome:<7}  ", _COLOURS.get(row.outcome, ""))
    line.append(f"{row.user:<12}  ")
    if screen.width >= _WIDE_COLUMNS:
        line.append(f"{row.source:<21}  {row.session:<8}  ")
    line.append(f"{row.action:<18}  {row.message}")
    # A person's screen has one line an event; a program gets all of it.
    screen.print(line, no_wrap=True, overflow="ellipsis" if is_terminal() else "ignore", crop=is_terminal())
