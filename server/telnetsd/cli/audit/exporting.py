"""telnetsd audit export."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from telnetsd.audit.reading.export import ExportFormat, export
from telnetsd.cli.audit.filters import Asked, with_filters
from telnetsd.cli.audit.reading import read_completed_events, read_events
from telnetsd.cli.common import HomeOption, home_of
from telnetsd.files.atomic import SECRET_FILE_MODE


@with_filters()
def export_(
    context: typer.Context,
    asked: Asked,
    to: Annotated[
        ExportFormat, typer.Option("--format", metavar="json|csv|cef", help="json: one object per line.")
    ] = ExportFormat.JSON,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE, not to standard output.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Write events for other programs."""
    written = 0
    # A JSON object stays exactly as it is in the file: its hash is that of the line.
    read = partial(read_events, is_raw=True) if to is ExportFormat.JSON else read_completed_events
    events = read(home_of(context, home), asked.selection)
    with _writing(output) as write:
        for line in export(events, to):
            write(line)
            written += 1
    if output is not None:
        typer.echo(f"{output}: {written} lines", err=True)


@contextmanager
def _writing(output: Path | None) -> Iterator[Callable[[str], None]]:
    if output is None:
        yield typer.echo
        return
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET_FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        yield lambda line: print(line, file=file)
