"""telnetsd line list, status, log."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_table, show_screen
from telnetsd.cli.times import SinceOption, UtcOption, interval_of, zone_of
from telnetsd.cli.words import LineArgument
from telnetsd.config.loading import load_settings
from telnetsd.control.client import ask
from telnetsd.errors import OperatorError
from telnetsd.lines.recordings.export import row_of, timed_lines
from telnetsd.lines.recordings.line_output import read_output
from telnetsd.lines.row_words import words_of
from telnetsd.rpc.messages import LineRow, ListLinesRequest


def list_(context: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """List the lines of the running server, and the state of each."""
    rows = ask(home_of(context, home).control_socket, ListLinesRequest())
    if json:
        print_json(rows)
        return
    print_table(["line", "kind", "state", "description"], [_cells_of(row) for row in rows])


def status(context: typer.Context, name: LineArgument, json: JsonOption = False, home: HomeOption = None) -> None:
    """Show the state of one line of the running server."""
    rows = ask(home_of(context, home).control_socket, ListLinesRequest())
    row = next((one for one in rows if one.name == name), None)
    if row is None:
        raise OperatorError(f"no line {name!r}; see: telnetsd line list")
    if json:
        print_json(row)
        return
    for heading, value in _facts_of(row):
        typer.echo(f"{heading:<12} {value}")


def log(
    context: typer.Context,
    name: LineArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for further output, until ^C.")] = False,
    since: SinceOption = None,
    text: Annotated[bool, typer.Option("--text", help="Lines of plain text, each with its time.")] = False,
    utc: UtcOption = False,
    home: HomeOption = None,
) -> None:
    """Show what a kept-open line with `record = true` has shown, without sequences that control this terminal."""
    where = home_of(context, home)
    _require_recorded(where.config_file, name)
    zone = zone_of(utc=utc)
    begin = interval_of(since, None, zone).begin
    shown = read_output(where.recordings_folder, name, begin, follows=follow)
    if not text:
        show_screen(one.data for one in shown)
        return
    for line in timed_lines((one.at, one.data) for one in shown):
        typer.echo(row_of(line, zone))


def _require_recorded(config_file: Path, name: str) -> None:
    line = next((one for one in load_settings(config_file).line if one.name == name), None)
    if line is None:
        raise OperatorError(f"no line {name!r}; see: telnetsd line list")
    if not (line.keep_open and line.record):
        raise OperatorError(
            f"what {name} shows is not recorded around the clock; set keep_open = true and record = true"
        )


def _cells_of(row: LineRow) -> tuple[str, ...]:
    return row.name, row.kind, words_of(row), row.description


def _facts_of(row: LineRow) -> Iterator[tuple[str, str]]:
    yield "line", f"{row.name} ({row.kind})"
    if row.description:
        yield "description", row.description
    yield "state", words_of(row)
    if row.since is not None:
        yield "since", _moment(row.since)
    yield "recorded", "yes" if row.is_recorded else row.unrecorded or "no"
    yield "shown", f"{row.shown_bytes} bytes"
    if row.is_kept_open:
        yield "backlog", f"{row.backlog_bytes} bytes"
        yield "last output", _moment(row.last_output_at) if row.last_output_at is not None else "none"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
