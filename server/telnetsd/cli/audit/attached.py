"""telnetsd audit sessions."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated

import typer

from telnetsd.audit.index.blocks import Attachment
from telnetsd.audit.reading.moment import Zone, to_zone
from telnetsd.audit.reading.row import short_session_id
from telnetsd.cli.audit.reading import search_of
from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_table
from telnetsd.cli.times import Interval, SinceOption, UntilOption, UtcOption, interval_of, zone_of
from telnetsd.cli.words import complete_lines, complete_users
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape_controls
from telnetsd.events.fields import parse_timestamp, timestamp


def sessions(
    context: typer.Context,
    line: Annotated[
        str,
        typer.Option(metavar="NAME", help="Only on this line; * matches anything.", autocompletion=complete_lines),
    ] = "*",
    user: Annotated[str, typer.Option(metavar="NAME", help="Only of this user.", autocompletion=complete_users)] = "",
    since: SinceOption = None,
    until: UntilOption = None,
    utc: UtcOption = False,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List the sessions that were on a line. With an interval: at any time of it. Exit status 1 if there are none."""
    zone = zone_of(utc=utc)
    interval = interval_of(since, until, zone)
    with search_of(home_of(context, home)) as (log, _):
        found = [one for one in log.attachments() if _is_wanted(one, line, user) and _overlaps(one, interval)]
    if not found:
        raise OperatorError("no session was on such a line then; use fewer filters")
    found.sort(key=lambda one: (one.opened_at, one.closed_at))
    if json:
        print_json(found)
        return
    print_table(["session", "user", "line", "on the line since", "until"], list(_rows(found, zone)))


def _is_wanted(one: Attachment, line: str, user: str) -> bool:
    return fnmatchcase(one.line, line) and user in {"", one.user}


def _overlaps(one: Attachment, interval: Interval) -> bool:
    """Tell whether an attachment was open at any time of an interval; one that is still open ends never."""
    is_too_late = interval.end is not None and one.opened_at > timestamp(interval.end)
    is_too_early = interval.begin is not None and one.closed_at != "" and one.closed_at < timestamp(interval.begin)
    return not is_too_late and not is_too_early


def _rows(found: list[Attachment], zone: Zone) -> Iterator[tuple[str, ...]]:
    for one in found:
        begun = _shown(one.opened_at, zone) or "(before the log begins)"
        row = (
            short_session_id(one.session),
            one.user,
            one.line,
            begun,
            _shown(one.closed_at, zone) or "(still open)",
        )
        # They may have been changed in a file, and the index does not check them.
        yield tuple(map(escape_controls, row))


def _shown(at: str, zone: Zone) -> str:
    moment = parse_timestamp(at)
    return "" if moment is None else f"{to_zone(moment, zone):%Y-%m-%d %H:%M:%S}"
