"""telnetsd audit tail, search, show: reading the audit log."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Annotated, Final

import typer
from rich.text import Text

from telnetsd.audit.index.searching import LogSearch
from telnetsd.audit.reading.archive import take_snapshot
from telnetsd.audit.reading.moment import Zone
from telnetsd.audit.reading.row import LoggedEvent, describe, read_event
from telnetsd.audit.reading.selection import Selection
from telnetsd.audit.reading.story import Story, tell_stories
from telnetsd.audit.reading.tail import last_lines
from telnetsd.audit.recall import CertificateRecall, complete_all
from telnetsd.cli.audit.filters import Asked, with_filters
from telnetsd.cli.audit.progress import ReadingBar, reading_bar
from telnetsd.cli.audit.table import COLOURS, EventTable
from telnetsd.cli.common import (
    Color,
    ColorOption,
    HomeOption,
    JsonOption,
    console,
    fail_usage,
    home_of,
    is_terminal,
    print_json,
)
from telnetsd.cli.times import UtcOption, zone_of
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape_controls
from telnetsd.events.catalogue import ACTIONS, DEFINITIONS
from telnetsd.files.home import Home

_FILTERED_LINES: Final = 10_000
"""How many of the last lines `tail` searches for matching events."""
_MEASURED_ROWS: Final = 50
"""How many rows of a search decide how wide the columns are."""

RawOption = Annotated[bool, typer.Option("--json", help="Print the lines as they are in the files.")]


@with_filters("since", "until")
def tail(
    context: typer.Context,
    asked: Asked,
    n: Annotated[int, typer.Option("-n", metavar="N", min=0, help="How many of the last events to show.")] = 20,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep running, and show each event as it is written.")
    ] = False,
    json: RawOption = False,
    color: ColorOption = "auto",
    home: HomeOption = None,
) -> None:
    """Show the last events, and with -f new ones as they are written."""
    path = home_of(context, home).audit_file
    if not following and not path.exists():
        raise OperatorError(f"no audit log at {path} yet; the first event creates it: is this the home folder?")
    wanted = n if asked.selection.is_everything else _FILTERED_LINES
    if following:
        from telnetsd.audit.reading.following import follow

        lines, live = follow(path, wanted)
    else:
        lines, live = last_lines(path, wanted), iter(())
    before = list(_matching(lines, asked.selection))
    if not before and n > 0 and not following:
        raise OperatorError(f"{_nothing_matches(asked.selection)}; older ones: telnetsd audit search")
    shown = _Shown(asked.zone, color, json=json)
    shown.begin(before[max(0, len(before) - n) :])
    for line in _matching(live, asked.selection):
        shown.add(line)


@with_filters()
def search(
    context: typer.Context,
    asked: Asked,
    json: RawOption = False,
    color: ColorOption = "auto",
    home: HomeOption = None,
) -> None:
    """Find events in the whole log, including rotated files. Exit status 1 if none match."""
    shown = _Shown(asked.zone, color, json=json)
    with search_of(home_of(context, home)) as (log, bar):
        lines = log.lines(asked.selection)
        first = list(islice(lines, _MEASURED_ROWS))
        if not first:
            raise OperatorError(_nothing_matches(asked.selection))
        bar.end()
        shown.begin(first)
        for line in lines:
            shown.add(line)


def show(
    context: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="A session's id, or the end of it.")],
    json: JsonOption = False,
    color: ColorOption = "auto",
    utc: UtcOption = False,
    home: HomeOption = None,
) -> None:
    """Show everything about one session: certificate, commands, end."""
    if not session:
        fail_usage("which session? see: telnetsd audit tail")
    events = read_events(home_of(context, home), Selection(session=session.lower()))
    stories = tell_stories(complete_all(events), zone_of(utc=utc))
    if len(stories) != 1:
        some = f": {', '.join(one.id for one in stories[:5])}" if stories else ""
        raise OperatorError(f"{len(stories) or 'no'} sessions match {session!r}{some}; see: telnetsd audit search")
    if json:
        print_json(stories[0])
    else:
        _print_story(stories[0], color)


def read_events(home: Home, selection: Selection, *, is_raw: bool = False) -> Iterator[LoggedEvent]:
    """Yield the events of the whole log that are selected; until the first one, show how far it has read.

    Args:
        home: Where the log is.
        selection: Which events.
        is_raw: Whether all events are yielded if nothing is selected; otherwise, what a new file repeats is left out.
    """
    with search_of(home) as (log, bar):
        for event in map(read_event, log.lines(selection)):
            if is_raw or selection.takes(event):
                bar.end()
                yield event


def read_completed_events(home: Home, selection: Selection) -> Iterator[LoggedEvent]:
    """Yield the events of the whole log that are selected, each with its certificate in full; reads every line."""
    with search_of(home) as (log, bar):
        for event in log.completed_events(selection):
            bar.end()
            yield event


@contextmanager
def search_of(home: Home) -> Iterator[tuple[LogSearch, ReadingBar]]:
    """Search the whole log, and show how much of it has been read, until the bar is ended."""
    snapshot = take_snapshot(home.audit_file)
    with reading_bar(snapshot.size) as bar:
        yield (
            LogSearch(snapshot=snapshot, log=home.audit_file, folder=home.log_index_folder, on_progress=bar.show),
            bar,
        )


def _nothing_matches(selection: Selection) -> str:
    """Say that no event matches, and name a word that the log never has."""
    reasons = sorted({reason for one in DEFINITIONS.values() for reason in one.reasons})
    for what, word, known in (("action", selection.action, sorted(ACTIONS)), ("reason", selection.reason, reasons)):
        if word and "*" not in word and word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            return f"no matching events: there is no {what} {word!a}{meant}"
    return "no matching events; use fewer filters"


class _Shown:
    """Shows lines of the log: as they are, or as rows of a table."""

    def __init__(self, zone: Zone, color: Color, *, json: bool) -> None:
        self._is_json = json
        is_for_person = is_terminal() or color == "always"
        self._table = EventTable(console(color), zone, is_for_person=is_for_person, is_cut=is_terminal())

    def begin(self, lines: list[bytes]) -> None:
        """Show the first lines."""
        if self._is_json:
            for line in lines:
                _echo_line(line)
        else:
            self._table.begin([describe(read_event(line)) for line in lines])

    def add(self, line: bytes) -> None:
        """Show a further line."""
        if self._is_json:
            _echo_line(line)
        else:
            self._table.add(describe(read_event(line)))


def _matching(lines: Iterable[bytes], selection: Selection) -> Iterator[bytes]:
    certificates = CertificateRecall()
    return (
        line for line in lines if selection.is_everything or selection.takes(certificates.complete(read_event(line)))
    )


def _echo_line(line: bytes) -> None:
    """Write a line as it is; on a terminal, with control characters escaped: the file may have been changed."""
    typer.echo(escape_controls(line.decode("utf-8", "replace")) if is_terminal() else line)


def _print_story(story: Story, color: Color) -> None:
    screen = console(color)
    screen.print(Text(f"session {story.id}", style="bold"))
    for word, text in story.facts:
        screen.print(Text(f"  {word:<14} {text}"), soft_wrap=True)
    screen.print()
    width = max((len(step.action) for step in story.steps), default=0)
    for step in story.steps:
        line = Text(f"  +{step.offset_s:>9.3f} s  ")
        line.append(f"{step.action:<{width}}  ", COLOURS.get(step.outcome, ""))
        line.append(step.message)
        screen.print(line, soft_wrap=True)
