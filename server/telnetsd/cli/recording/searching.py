"""telnetsd recording search, index."""

import logging
import os
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

import typer

from telnetsd.audit.reading.moment import Zone, to_zone
from telnetsd.cli.common import HomeOption, JsonOption, console, home_of, print_json, size_words
from telnetsd.cli.times import SinceOption, UntilOption, UtcOption, interval_of, zone_of
from telnetsd.cli.words import complete_lines, complete_users
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape_controls
from telnetsd.lines.search.indexing import Progress, index_recordings
from telnetsd.lines.search.searching import Hit, Wanted, require_pattern, search

LineOption = Annotated[
    str, typer.Option(metavar="NAME", help="Only this line; * matches anything.", autocompletion=complete_lines)
]
WriterOption = Annotated[
    str, typer.Option(metavar="NAME", help="Only while this user was the writer.", autocompletion=complete_users)
]
_FACTS_WIDTH = 40
"""About the width of what is printed before the text of a hit."""
_TEXT_MIN_WIDTH = 40
_NICENESS = 10
"""A running server goes first."""


def search_(
    context: typer.Context,
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Text of 3 characters or more; case is ignored.")],
    line: LineOption = "",
    user: WriterOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(metavar="NUMBER", min=1, max=10_000, help="How many to show.")] = 20,
    utc: UtcOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Find text that lines have shown, the newest first. Exit status 1 if there is none."""
    where = home_of(context, home)
    zone = zone_of(utc=utc)
    interval = interval_of(since, until, zone)
    wanted = Wanted(
        pattern=require_pattern(pattern),
        line=line,
        user=user,
        since=interval.begin,
        until=interval.end,
        limit=limit,
    )
    looked = _Looked(zone)
    hits = search(where.recordings_folder, where.index_folder, wanted, looked.back_to)
    count = _print_json(hits) if json else _print_hits(hits, looked, pattern)
    typer.echo(looked.summary(count, limit), err=True)
    if not count:
        raise typer.Exit(1)


def index(
    context: typer.Context,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Rebuild the whole index.")] = False,
    check: Annotated[bool, typer.Option("--check/--no-check", help="Whether to look for damage first.")] = True,
    home: HomeOption = None,
) -> None:
    """Bring the index of the recordings up to date; a running server does that by itself."""
    where = home_of(context, home)
    os.nice(_NICENESS)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        done = index_recordings(
            where.recordings_folder,
            where.index_folder,
            is_checked=check,
            is_rebuilt=rebuild,
            report=_show_progress if sys.stderr.isatty() else lambda _: None,
        )
    except OSError as error:
        raise OperatorError(f"cannot write to {where.shown(where.index_folder)}: {error.strerror}") from error
    typer.echo(f"added {done.recordings} recordings to the index ({size_words(done.size)})", err=True)


class _Looked:
    """How far a search has looked back, on standard error if a person reads it."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self._is_shown = sys.stderr.isatty()
        self._last: datetime | None = None

    def back_to(self, at: datetime) -> None:
        """Note a time since which everything has been looked at."""
        if self._is_shown:
            typer.echo(f"\r\x1b[Klooked back to {_shown(at, self.zone)}", nl=False, err=True)

    def note(self, hit: Hit) -> None:
        """Note a hit that is about to be printed."""
        self._last = hit.at
        self.clear()

    def clear(self) -> None:
        """Remove the message."""
        if self._is_shown:
            typer.echo("\r\x1b[K", nl=False, err=True)

    def summary(self, count: int, limit: int) -> str:
        """Return what to say at the end."""
        self.clear()
        if not count:
            return "no matching output; everything was searched"
        if count < limit or self._last is None:
            return f"{count} {'match' if count == 1 else 'matches'}; everything was searched"
        # Matches in the same second are shown again, rather than left out.
        until = to_zone(self._last + timedelta(seconds=1), self.zone)
        earlier = f"--until {until:%Y-%m-%dT%H:%M:%S%z}"
        return f"{count} matches, back to {_shown(self._last, self.zone)}; for earlier ones: {earlier}"


def _print_json(hits: Iterator[Hit]) -> int:
    count = 0
    for hit in hits:
        count += 1
        print_json(hit)
    return count


def _print_hits(hits: Iterator[Hit], looked: _Looked, pattern: str) -> int:
    width = max(_TEXT_MIN_WIDTH, console().width - _FACTS_WIDTH)
    count = 0
    for hit in hits:
        count += 1
        looked.note(hit)
        text = escape_controls(_around(hit.text, pattern, width))
        typer.echo(f"{_shown(hit.at, looked.zone)}  {hit.line}  {hit.user or '-'}  {text}")
        name = hit.recording.removesuffix(".cast")
        typer.echo(f"    telnetsd recording play {name} --at {max(0.0, hit.offset_s):.1f}")
    return count


def _around(text: str, pattern: str, width: int) -> str:
    """Return the part of a text around the first match, with an ellipsis where it is cut."""
    at = max(0, text.lower().find(pattern.lower()))
    start = max(0, min(at - (width - len(pattern)) // 2, len(text) - width))
    shown = text[start : start + width]
    return ("…" if start else "") + shown.strip() + ("…" if start + width < len(text) else "")


def _shown(at: datetime, zone: Zone) -> str:
    return f"{to_zone(at, zone):%Y-%m-%d %H:%M:%S}"


def _show_progress(progress: Progress) -> None:
    text = f"{progress.recordings} of {progress.recordings_due} recordings, {size_words(progress.size)}"
    end = "\n" if progress.recordings == progress.recordings_due else ""
    typer.echo(f"\r\x1b[K{text} of {size_words(progress.size_due)}{end}", nl=False, err=True)
