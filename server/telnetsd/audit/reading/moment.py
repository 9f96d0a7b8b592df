"""Times as people write them: 2h, yesterday, tuesday 14:00, 2026-01-31, with or without a zone."""

import re
import zoneinfo
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

EXAMPLES: Final = "2h, yesterday, tuesday 14:00, 2026-01-31T12:00, 12:00 UTC"
Zone = tzinfo | None
"""The zone of times without one: None is that of this machine, whose offset depends on the date."""
_AGO: Final = re.compile(r"([0-9]{1,6})\s*([smhdw])(?: ago)?")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME: Final = re.compile(r"(?:^|[ T])([0-9]{1,2}):([0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)$")
_OFFSET: Final = re.compile(r"(?<=[0-9]) ?([+-][0-9]{2}:?[0-9]{2})$")
_ZONE: Final = re.compile(r" ?\b(UTC|Z|[A-Z][A-Za-z_+-]+(?:/[A-Z][A-Za-z_+-]+)+)$|(?<=[0-9])(Z)$")
_DAY: Final = timedelta(days=1)
_MOMENT: Final = timedelta(microseconds=1)


def parse_moment(
    text: str, now: datetime, zone: Zone = None, *, is_end: bool = False, is_past: bool = True
) -> datetime:
    """Return the time (UTC) that a text means.

    Args:
        text: As in EXAMPLES. A weekday is the last one, today included.
        now: The present time, aware.
        zone: The zone of a text that names none.
        is_end: Whether it is the end of an interval: then a day without a time of day is included as a whole.
        is_past: Whether a time of day, or of a weekday, that is still to come is that of a day, or a week, before.

    Raises:
        ValueError: The text is not a time.
    """
    try:
        ago = _AGO.fullmatch(text.strip().lower())
        if ago is not None:
            return now.astimezone(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return _parse_named(text.strip(), now, zone, is_end=is_end, is_past=is_past)
    except (ValueError, OverflowError, OSError, zoneinfo.ZoneInfoNotFoundError) as error:
        raise ValueError(f"not a time: {text!r}; examples: {EXAMPLES}") from error


def to_zone(at: datetime, zone: Zone) -> datetime:
    """Return an aware time in a zone."""
    return at.astimezone(zone)


def zone_words(at: datetime) -> str:
    """Return how far the zone of an aware time is from UTC, as in UTC, or UTC+01:00."""
    offset = at.strftime("%z")
    return "UTC" if offset in {"+0000", "-0000"} else f"UTC{offset[:3]}:{offset[3:5]}"


def _parse_named(text: str, now: datetime, zone: Zone, *, is_end: bool, is_past: bool) -> datetime:
    if not text:
        raise ValueError(text)
    rest, zone = _take_zone(text, zone)
    if rest.lower() == "now":
        return now.astimezone(UTC)
    found = _TIME.search(rest)
    of_day = time.fromisoformat(f"{found[1]:0>2}:{found[2]}") if found is not None else None
    day = _parse_day(rest[: found.start()].strip() if found is not None else rest, to_zone(now, zone))
    begin = datetime.combine(day, of_day or time())
    if is_past and of_day is not None and _in_utc(begin, zone, is_end=is_end) > now:
        begin -= _before(rest[: found.start()].strip().lower() if found is not None else "")
    if of_day is None and is_end:
        return _in_utc(begin + _DAY, zone, is_end=True) - _MOMENT
    return _in_utc(begin, zone, is_end=is_end)


def _before(day: str) -> timedelta:
    """Return how long before a moment the last one is that is called the same; nothing for a day that has a date."""
    if day in _WEEKDAYS:
        return len(_WEEKDAYS) * _DAY
    return _DAY if not day else timedelta()


def _take_zone(text: str, zone: Zone) -> tuple[str, Zone]:
    """Return a text without the zone at its end, and that zone."""
    offset = _OFFSET.search(text)
    if offset is not None and ":" in text[: offset.start()]:
        return text[: offset.start()], datetime.strptime(offset[1], "%z").tzinfo
    named = _ZONE.search(text)
    if named is None:
        return text, zone
    name = named[1] or named[2]
    return text[: named.start()].rstrip(), UTC if name in {"UTC", "Z"} else zoneinfo.ZoneInfo(name)


def _parse_day(text: str, now: datetime) -> date:
    """Return the day that a text means; today if it is empty."""
    word = text.lower()
    if word in {"", "today"}:
        return now.date()
    if word == "yesterday":
        return now.date() - _DAY
    if word in _WEEKDAYS:
        return now.date() - timedelta(days=(now.weekday() - _WEEKDAYS.index(word)) % len(_WEEKDAYS))
    return date.fromisoformat(text)


def _in_utc(at: datetime, zone: Zone, *, is_end: bool) -> datetime:
    """Return a time without a zone as one in UTC; the interval is the longer one where the clocks are changed."""
    both = (at.replace(fold=0), at.replace(fold=1))
    found = [(one.replace(tzinfo=zone) if zone is not None else one.astimezone()).astimezone(UTC) for one in both]
    return max(found) if is_end else min(found)
