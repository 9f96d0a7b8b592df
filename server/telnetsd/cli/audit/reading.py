"""telnetsd audit tail, search, show, stats, export: reading the audit log."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.bar import Bar
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from telnetsd.audit.reading.archive import read_lines, take_snapshot
from telnetsd.audit.reading.export import ExportFormat, export
from telnetsd.audit.reading.row import EventRow, LoggedEvent, describe, read_event
from telnetsd.audit.reading.selection import Selection, parse_fingerprint, parse_moment, parse_network
from telnetsd.audit.reading.statistics import Figures, count
from telnetsd.audit.reading.story import Story, tell_stories
from telnetsd.audit.reading.tail import last_lines
from telnetsd.audit.recall import CertificateRecall, complete_all
from telnetsd.cli.common import HomeOption, JsonOption, console, fail_usage, home_of, is_terminal, print_json
from telnetsd.cli.words import complete_actions, complete_users
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape_controls
from telnetsd.events.of_the_server import AuditCheckpoint
from telnetsd.files.atomic import SECRET_FILE_MODE

_COLOURS = {"success": "green", "failure": "red"}
_USER_COLUMNS = 13
_WIDE_COLUMNS = 130
"""From this width on, the source of an event is shown as well."""
_HEADER = EventRow(
    time="time (UTC)",
    outcome="outcome",
    user="user",
    source="source",
    session="session",
    action="event",
    message="what",
)
_FILTERED_LINES = 10_000
"""How many of the last lines `tail` searches for matching events."""
_BAR_COLUMNS = 40
_SHOWN_PER_CHART = 20

UserOption = Annotated[
    str, typer.Option(metavar="NAME", help="Only events by NAME or about NAME.", autocompletion=complete_users)
]
SessionOption = Annotated[str, typer.Option(metavar="ID", help="Only this session; the end of its id is enough.")]
ActionOption = Annotated[
    str,
    typer.Option(metavar="ACTION", help="Only this action; * matches anything.", autocompletion=complete_actions),
]
SourceOption = Annotated[str, typer.Option(metavar="ADDRESS", help="Only from this address or network.")]
CertificateOption = Annotated[
    str,
    typer.Option(metavar="HEX", help="Only with this certificate: the start of its SHA-256, or its serial number."),
]
FailedOption = Annotated[bool, typer.Option("--failed", help="Only refusals and failures.")]
SinceOption = Annotated[str, typer.Option(metavar="MOMENT", help="Only since this time: 2h, 7d, 2026-01-31T12:00.")]
UntilOption = Annotated[str, typer.Option(metavar="MOMENT", help="Only up to this time.")]


def tail(
    context: typer.Context,
    n: Annotated[int, typer.Option("-n", metavar="N", min=0, help="How many of the last events to show.")] = 20,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep running, and show each event as it is written.")
    ] = False,
    user: UserOption = "",
    session: SessionOption = "",
    action: ActionOption = "",
    source: SourceOption = "",
    certificate: CertificateOption = "",
    failed: FailedOption = False,
    json: Annotated[bool, typer.Option("--json", help="Print the lines as they are in the file.")] = False,
    home: HomeOption = None,
) -> None:
    """Show the last events, and with -f new ones as they are written."""
    path = home_of(context, home).audit_file
    if not following and not path.exists():
        raise OperatorError(f"no audit log at {path} yet; the first event creates it: is this the home folder?")
    selection = _select(user, session, action, source, certificate, failed=failed)
    wanted = n if selection.is_everything else _FILTERED_LINES
    if following:
        from telnetsd.audit.reading.following import follow

        lines, live = follow(path, wanted)
    else:
        lines, live = last_lines(path, wanted), iter(())
    before = list(_matching(lines, selection))
    show = _shower(json=json)
    for line in before[max(0, len(before) - n) :]:
        show(line)
    for line in _matching(live, selection):
        show(line)


def search(
    context: typer.Context,
    user: UserOption = "",
    session: SessionOption = "",
    action: ActionOption = "",
    source: SourceOption = "",
    certificate: CertificateOption = "",
    failed: FailedOption = False,
    since: SinceOption = "",
    until: UntilOption = "",
    json: Annotated[bool, typer.Option("--json", help="Print the lines as they are in the files.")] = False,
    home: HomeOption = None,
) -> None:
    """Find events in the whole log, including rotated files. Exit status 1 if none match."""
    selection = _select(user, session, action, source, certificate, since, until, failed=failed)
    show, found = _shower(json=json), False
    with _reading(home_of(context, home).audit_file, prints=True) as lines:
        for line in _matching(lines, selection):
            show(line)
            found = True
    if not found:
        raise OperatorError("no matching events; use fewer filters")


def show(
    context: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION", help="A session's id, or the end of it.")],
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show everything about one session: certificate, commands, end."""
    if not session:
        fail_usage("which session? see: telnetsd audit tail")
    with _reading(home_of(context, home).audit_file) as lines:
        stories = tell_stories(_events(lines, Selection(session=session.lower())))
    if len(stories) != 1:
        some = f": {', '.join(one.id for one in stories[:5])}" if stories else ""
        raise OperatorError(f"{len(stories) or 'no'} sessions match {session!r}{some}; see: telnetsd audit search")
    if json:
        print_json(stories[0])
    else:
        _print_story(stories[0])


def stats(
    context: typer.Context,
    user: UserOption = "",
    source: SourceOption = "",
    certificate: CertificateOption = "",
    since: SinceOption = "",
    until: UntilOption = "",
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Count logins by user and hour, refusals by reason, events by action."""
    selection = _select(user, "", "", source, certificate, since, until, failed=False)
    with _reading(home_of(context, home).audit_file) as lines:
        figures = count(_events(lines, selection))
    if json:
        print_json(figures)
    else:
        _print_figures(figures)


def export_(
    context: typer.Context,
    to: Annotated[ExportFormat, typer.Option("--format", help="json: one object per line.")] = ExportFormat.JSON,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE, not to standard output.")
    ] = None,
    user: UserOption = "",
    session: SessionOption = "",
    action: ActionOption = "",
    source: SourceOption = "",
    certificate: CertificateOption = "",
    failed: FailedOption = False,
    since: SinceOption = "",
    until: UntilOption = "",
    home: HomeOption = None,
) -> None:
    """Write events for other programs."""
    selection = _select(user, session, action, source, certificate, since, until, failed=failed)
    written = 0
    with _reading(home_of(context, home).audit_file, prints=output is None) as lines, _writing(output) as write:
        # A JSON object stays exactly as it is in the file: its hash is that of the line.
        is_json = to is ExportFormat.JSON
        events = map(read_event, _matching(lines, selection)) if is_json else _events(lines, selection)
        for line in export(events, to):
            write(line)
            written += 1
    if output is not None:
        typer.echo(f"{output}: {written} lines", err=True)


@contextmanager
def reading_bar(total: int, *, prints: bool = False) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how far a file has been read; yields a function that takes the number of bytes so far.

    Args:
        total: The size of the file, in bytes.
        prints: Whether lines are printed meanwhile. Then there is no bar on the terminal that shows them.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    screen, is_hidden = Console(stderr=True), not sys.stderr.isatty() or (prints and is_terminal())
    with Progress(*columns, TimeRemainingColumn(), console=screen, transient=True, disable=is_hidden) as progress:
        task = progress.add_task("reading the audit log", total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def _reading(path: Path, *, prints: bool = False) -> Iterator[Iterator[bytes]]:
    """Read a whole log, with a progress bar on a terminal."""
    snapshot = take_snapshot(path)
    with reading_bar(snapshot.size, prints=prints) as on_progress:
        yield (line.content for line in read_lines(snapshot, on_progress))


@contextmanager
def _writing(output: Path | None) -> Iterator[Callable[[str], None]]:
    if output is None:
        yield typer.echo
        return
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET_FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
        yield lambda line: print(line, file=file)


def _select(
    user: str,
    session: str,
    action: str,
    source: str,
    certificate: str,
    since: str = "",
    until: str = "",
    *,
    failed: bool,
) -> Selection:
    now = datetime.now(UTC)
    try:
        network = parse_network(source) if source else None
        hexadecimal = parse_fingerprint(certificate) if certificate else ""
        begin, end = (parse_moment(text, now) if text else None for text in (since, until))
    except ValueError as error:
        fail_usage(str(error))
    return Selection(
        user=user,
        session=session.lower(),
        action=action,
        source=network,
        certificate=hexadecimal,
        only_failed=failed,
        since=begin,
        until=end,
    )


def _matching(lines: Iterable[bytes], selection: Selection) -> Iterator[bytes]:
    certificates = CertificateRecall()
    return (
        line for line in lines if selection.is_everything or selection.takes(certificates.complete(read_event(line)))
    )


def _events(lines: Iterable[bytes], selection: Selection) -> Iterator[LoggedEvent]:
    return (event for event in complete_all(map(read_event, lines)) if selection.takes(event))


def _shower(*, json: bool) -> Callable[[bytes], None]:
    """Return a function that shows a line: as it is, or as a row of a table, whose header is printed at once."""
    if json:
        return _echo_line
    screen = console()
    _print(screen, _HEADER, is_header=True)
    return lambda line: _print(screen, describe(read_event(line)))


def _echo_line(line: bytes) -> None:
    """Write a line as it is; on a terminal, with control characters escaped: the file may have been changed."""
    typer.echo(escape_controls(line.decode("utf-8", "replace")) if is_terminal() else line)


def _print(screen: Console, row: EventRow, *, is_header: bool = False) -> None:
    line = Text(style="bold" if is_header else "dim" if row.action == AuditCheckpoint.action else "")
    colour = _COLOURS.get(row.outcome, "")
    line.append(f"{row.time:<19}  ")
    line.append(f"{row.outcome:<7}  ", colour)
    user = row.user[:_USER_COLUMNS] if is_terminal() else row.user
    line.append(f"{user:<{_USER_COLUMNS}}  ")
    if screen.width >= _WIDE_COLUMNS:
        line.append(f"{row.source:<21}  ")
    line.append(f"{row.session:<8}  ")
    line.append(f"{row.action:<18}  ", colour)
    line.append(row.message)
    # A terminal shows one line per event; a program gets the whole text.
    screen.print(line, no_wrap=True, overflow="ellipsis" if is_terminal() else "ignore", crop=is_terminal())


def _print_story(story: Story) -> None:
    screen = console()
    screen.print(Text(f"session {story.id}", style="bold"))
    for word, text in story.facts:
        screen.print(Text(f"  {word:<14} {text}"), soft_wrap=True)
    screen.print()
    for step in story.steps:
        line = Text(f"  +{step.offset_s:>9.3f} s  ")
        line.append(f"{step.action:<18}  ", _COLOURS.get(step.outcome, ""))
        line.append(step.message)
        screen.print(line, soft_wrap=True)


def _print_figures(figures: Figures) -> None:
    screen = console()
    screen.print(Text(f"{figures.events} events, {figures.failures} of them refusals and failures"))
    _print_chart(screen, "logins by user", figures.logins_by_user)
    _print_chart(screen, "refusals by reason", figures.refusals_by_reason)
    hours = figures.logins_by_hour if any(figures.logins_by_hour.values()) else {}
    _print_chart(screen, "logins by hour (UTC)", hours, len(hours))
    _print_chart(screen, "events by action", figures.events_by_action)


def _print_chart(screen: Console, title: str, counts: dict[str, int], limit: int = _SHOWN_PER_CHART) -> None:
    screen.print()
    screen.print(Text(title, style="bold"))
    if not counts:
        screen.print("  none")
        return
    most = max(counts.values())
    table = Table.grid(padding=(0, 1))
    for word, number in list(counts.items())[:limit]:
        table.add_row(Text(f"  {word}"), Text(f"{number:>7}"), Bar(most, 0, number, width=_BAR_COLUMNS))
    screen.print(table)
    if len(counts) > limit:
        screen.print(f"  and {len(counts) - limit} more; see: --json")
