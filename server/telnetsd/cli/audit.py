"""telnetsd audit tail."""

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from telnetsd.audit.reader import EventRow, describe_line, follow, last_lines
from telnetsd.cli.common import HomeOption, console, home_of
from telnetsd.errors import OperatorError

app = typer.Typer(help="Read the audit log.", no_args_is_help=True, rich_markup_mode=None)

_COLOURS = {"success": "green", "failure": "red"}
_HEADER = EventRow("time (UTC)", "outcome", "user", "source", "session", "action", "what")


@app.callback()
def group() -> None:
    """Read the audit log."""


@app.command()
def tail(
    context: typer.Context,
    n: Annotated[int, typer.Option("-n", min=0, help="How many of the last events.")] = 20,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each event as it is written.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The lines as they are in the file.")] = False,
    home: HomeOption = None,
) -> None:
    """Show the last events, and with -f those that come."""
    path = home_of(context, home).audit_file
    if not following and not path.exists():
        raise OperatorError(f"no audit log at {path}; is this the home folder?")
    lines: Iterable[bytes] = follow(path, n) if following else last_lines(path, n)
    if json:
        for line in lines:
            typer.echo(line)
        return
    screen = console()
    _print(screen, _HEADER, "bold")
    for line in lines:
        row = describe_line(line)
        _print(screen, row, _COLOURS.get(row.outcome, ""))


def _print(screen: Console, row: EventRow, style: str) -> None:
    line = Text(f"{row.time:<19}  ")
    line.append(f"{row.outcome:<7}  ", style)
    line.append(f"{row.user:<12}  {row.source:<21}  {row.session:<8}  {row.action:<18}  ")
    line.append(row.message, style)
    screen.print(line, soft_wrap=True)
