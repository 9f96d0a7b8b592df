"""telnetsd audit report."""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from telnetsd.administration.installation.audit_log import remembered_end
from telnetsd.administration.installation.generation import server_name
from telnetsd.audit.key import load_public_keys
from telnetsd.audit.reading.archive import Snapshot, read_lines, take_snapshot
from telnetsd.audit.reading.report import ReportWriter
from telnetsd.audit.reading.report_page import Ending, Heading, Proof, report_page
from telnetsd.audit.reading.row import read_event
from telnetsd.audit.reading.selection import Selection
from telnetsd.audit.reading.verification import Expectation, verify
from telnetsd.cli.audit.progress import reading_bar
from telnetsd.cli.audit.proof import describe_report
from telnetsd.cli.audit.reading import search_of
from telnetsd.cli.common import HomeOption, home_of
from telnetsd.cli.times import SinceOption, UntilOption, UtcOption, interval_of, zone_of
from telnetsd.errors import OperatorError
from telnetsd.files.atomic import SECRET_FILE_MODE
from telnetsd.files.home import Home
from telnetsd.state.opening import open_store
from telnetsd.state.records import FIRST_DEVICE

ENDING_DAYS: Final = 60
"""Which certificates a report calls ending soon."""


def report(
    context: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page (HTML) to write.")],
    since: SinceOption = "30d",
    until: UntilOption = None,
    utc: UtcOption = False,
    home: HomeOption = None,
) -> None:
    """Write a page to print or hand over: who logged in, what was refused, who used which line, and the proof.

    Exit status 1 if the log is damaged; the page then says so.
    """
    where, zone, now = home_of(context, home), zone_of(utc=utc), datetime.now(UTC)
    interval = interval_of(since, until, zone)
    begin, end = interval.begin or now, min(interval.end or now, now)
    proof = _prove(where)
    writer = ReportWriter(zone)
    with search_of(where) as (log, _):
        for line in log.lines(Selection(since=begin, until=end)):
            writer.add(read_event(line))
        happened = writer.happened(log.attachments(), begin, end)
    heading = Heading(host=_host_of(where), begin=begin, end=end, made_at=now, zone=zone)
    _write(output, report_page(heading, happened, proof, _endings(where, now)))
    typer.echo(f"{output}: {happened.figures.events} events; the log is {'intact' if proof.is_intact else 'DAMAGED'}")
    if not proof.is_intact:
        raise typer.Exit(1)


def _prove(home: Home) -> Proof:
    snapshot: Snapshot = take_snapshot(home.audit_file)
    witnessed = remembered_end(home)
    expected = Expectation(load_public_keys(home.audit_public_keys), snapshot.seal, True, None, witnessed)
    with reading_bar(snapshot.size) as bar:
        found = verify(read_lines(snapshot, bar.show), expected)
    sentences = describe_report(found, len(snapshot.parts), witnessed=witnessed)
    if found.damage is not None:
        place = f"{found.damage.file} line {found.damage.line}" if found.damage.line else "the log"
        sentences = [f"{found.damage.kind.value}: {place}: {found.damage.message}", *sentences]
    return Proof(found.damage is None, sentences)


def _host_of(home: Home) -> str:
    try:
        return server_name(home)
    except OperatorError:
        return "this installation"


def _endings(home: Home, now: datetime) -> list[Ending]:
    """Return the certificates of users that end soon and have no successor for the same device."""
    if not home.state_file.exists():
        return []
    with closing(open_store(home)) as state:
        users = state.users.every()
    found = []
    for user in users:
        last: dict[str, datetime] = {}
        for one in user.certificates:
            if one.revocation is None and one.not_after > now:
                last[one.label] = max(last.get(one.label, one.not_after), one.not_after)
        soon = ((label, at) for label, at in last.items() if at < now + timedelta(days=ENDING_DAYS))
        found += [Ending(user.user.name, label or FIRST_DEVICE, at) for label, at in soon]
    return sorted(found, key=lambda one: one.not_after)


def _write(path: Path, parts: Iterator[str]) -> None:
    """Write a page that only its owner can read: it says who did what."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, SECRET_FILE_MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.writelines(parts)
    except OSError as error:
        raise OperatorError(f"cannot write to {path}: {error.strerror}") from error
