"""Times on the command line: options that take one, and the zone in which they are read and shown."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from telnetsd.audit.reading.moment import EXAMPLES, Zone, parse_moment
from telnetsd.cli.common import fail_usage

UtcOption = Annotated[bool, typer.Option("--utc", help="Times in UTC, not in the time zone of this machine.")]
SinceOption = Annotated[str | None, typer.Option(metavar="TIME", help=f"Only since this time: {EXAMPLES}.")]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Only up to this time; a day is included.")]


@dataclass(frozen=True, slots=True)
class Interval:
    """The times (UTC) between which something was; None sets no limit."""

    begin: datetime | None
    end: datetime | None


def zone_of(*, utc: bool) -> Zone:
    """Return the zone in which times are read and shown."""
    return UTC if utc else None


def interval_of(since: str | None, until: str | None, zone: Zone) -> Interval:
    """Read the options `--since` and `--until`; end with the status for wrong usage if they make no sense."""
    now = datetime.now(UTC)
    try:
        begin = parse_moment(since, now, zone) if since is not None else None
        end = parse_moment(until, now, zone, is_end=True) if until is not None else None
        if until is not None and begin is not None and end is not None and end < begin:
            # From 22:00 to 23:00 at half past ten: the end is still to come.
            end = parse_moment(until, now, zone, is_end=True, is_past=False)
    except ValueError as error:
        fail_usage(str(error))
    if begin is not None and end is not None and begin > end:
        fail_usage(f"--since {since} is after --until {until}")
    return Interval(begin, end)
