"""What all verbs share: the home folder, tables for people, JSON for scripts."""

import codecs
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from telnetsd.files.home import Home, find_home, require_whole
from telnetsd.lines.recordings.terminal_filter import RESET, TerminalFilter

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", metavar="DIR", help="The home folder; else $TELNETSD_HOME, else the current folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON for scripts instead of a table.")]
Color = Literal["auto", "always", "never"]
ColorOption = Annotated[
    Color,
    typer.Option("--color", metavar="auto|always|never", help="always: also in a pipe, as for `less -R`."),
]
_PIPE_WIDTH = 200
_GAP = "  "
_KIB = 2**10
_MIB = 2**20


def home_of(context: typer.Context, chosen: Path | None) -> Home:
    """Return the home folder that was given before or after the verb.

    Raises:
        OperatorError: A restore of it was interrupted.
    """
    home = place_of(context, chosen)
    require_whole(home)
    return home


def place_of(context: typer.Context, chosen: Path | None) -> Home:
    """Return the home folder that was given before or after the verb, whatever state it is in."""
    return find_home(chosen or context.find_root().obj)


def fail_usage(message: str) -> NoReturn:
    """End with the exit status for wrong usage, and print what is wrong."""
    raise typer.BadParameter(message)


def console(color: Color = "auto") -> Console:
    """Return a console for standard output; in a pipe it uses no colours and does not fold at 80 columns."""
    if color == "always":
        return Console(highlight=False, force_terminal=True)
    return Console(highlight=False, no_color=color == "never", width=None if is_terminal() else _PIPE_WIDTH)


def is_terminal() -> bool:
    """Tell whether a person, not a program, reads standard output."""
    return sys.stdout is not None and sys.stdout.isatty()


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table for people; cells are text, never markup. In a pipe, no row is padded with spaces."""
    screen = console()
    if is_terminal():
        screen.print(make_table(columns, rows))
        return
    with screen.capture() as captured:
        screen.print(make_table(columns, rows))
    typer.echo("".join(f"{row.rstrip()}\n" for row in captured.get().splitlines()), nl=False)


def print_whole(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose last column is never broken: if there is no room for it, it stands below its row."""
    screen = console()
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    fits = sum(widths) + len(_GAP) * (len(widths) - 1) <= screen.width
    for number, (*cells, last) in enumerate((columns, *rows)):
        line = _GAP.join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=False))
        shown = [f"{line}{_GAP}{last}"] if fits else [line.rstrip(), f"{_GAP}{last}"]
        for text in shown:
            style = "bold" if number == 0 else ""
            screen.print(Text(text, style=style), no_wrap=True, overflow="ignore", crop=False)


def make_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table for people; cells are text, never markup."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def size_words(size: int) -> str:
    """Return a size in bytes for people, as in 3.2 MiB."""
    return f"{size / _MIB:.1f} MiB" if size >= _MIB else f"{size / _KIB:.1f} KiB"


def show_screen(chunks: Iterable[bytes]) -> None:
    """Show the output of another screen, without sequences that would control this terminal."""
    decode, shown = codecs.getincrementaldecoder("utf-8")("replace").decode, TerminalFilter()
    try:
        for data in chunks:
            # Not through typer, which removes colours if there is no terminal.
            sys.stdout.write(shown.feed(decode(data)))
            sys.stdout.flush()
    finally:
        sys.stdout.write(RESET if is_terminal() else "")
        sys.stdout.flush()


def print_json(value: Any) -> None:  # noqa: ANN401 -- any value that can be encoded
    """Print a value as JSON, on one line."""
    typer.echo(msgspec.json.encode(value).decode())
