"""A report as one page that can be printed or handed over: no script, nothing from elsewhere, everything escaped."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

from telnetsd import __version__
from telnetsd.audit.reading.moment import Zone, to_zone, zone_words
from telnetsd.audit.reading.report import Happened, LineUse, Rows
from telnetsd.events.reason import sentence_of

_ONE_CERTIFICATE: Final = (
    (re.compile(r" \([^)]*\{[^)]*\)| (?:on|since) \{[^}]*\}|\{(?:fault|why)\}"), ""),
    (re.compile(r"\{issuer\}"), "a CA"),
    (re.compile(r"\{not_before\}"), "its first day"),
    (re.compile("your certificate"), "the certificate"),
)
"""What a reason's sentence says about the certificate of one client, and what is said about any instead."""
_BAR_WIDTH: Final = 300
_BAR_HEIGHT: Final = 12
_ROW_HEIGHT: Final = 18
_LABEL_WIDTH: Final = 190
_BARS_MAX: Final = 40
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE: Final = """
body{font:10.5pt/1.4 sans-serif;color:#111;max-width:60em;margin:2em auto;padding:0 1em}
h1{font-size:1.5em;margin:0}h2{font-size:1.1em;margin:1.8em 0 .4em;border-bottom:1px solid #111}
p{margin:.4em 0}table{border-collapse:collapse;margin:.6em 0;font-size:.92em}
th,td{text-align:left;padding:.12em 1.2em .12em 0;vertical-align:top;white-space:nowrap}
td:last-child{white-space:normal;overflow-wrap:anywhere}
th{border-bottom:1px solid #888}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.proof{border:2px solid #111;padding:.5em .8em;margin:1em 0}.bad{border-style:double;border-width:5px}
svg{display:block;margin:.6em 0}svg text{font:9pt sans-serif;fill:#111}
svg rect{fill:#555;stroke:#111;stroke-width:.5}.meta{color:#444}
@media print{body{margin:0;max-width:none}h2,svg,.proof{break-after:avoid}tr{break-inside:avoid}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a report is about.

    Attributes:
        host: The installation.
        begin, end: The interval (aware).
        made_at: When the report was made (aware).
        zone: The time zone of its times.
    """

    host: str
    begin: datetime
    end: datetime
    made_at: datetime
    zone: Zone


@dataclass(frozen=True, slots=True)
class Proof:
    """What the verification of the whole log says, as sentences."""

    is_intact: bool
    sentences: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ending:
    """A certificate that ends soon: whose it is, for which device, and when."""

    user: str
    device: str
    not_after: datetime


def meaning_of(reason: str) -> str:
    """Return what a reason means, as a sentence about any certificate and not to the user of one."""
    meaning = sentence_of(reason)
    for pattern, instead in _ONE_CERTIFICATE:
        meaning = pattern.sub(instead, meaning)
    return meaning


def report_page(heading: Heading, happened: Happened, proof: Proof, endings: Sequence[Ending]) -> Iterator[str]:
    """Yield the parts of the page."""
    title = f"Access to {heading.host}, {_day(heading.begin, heading)} to {_day(heading.end, heading)}"
    yield f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
    yield '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
    yield f"<style>{_STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n"
    begin, end = (_moment(at, heading) for at in (heading.begin, heading.end))
    made = f"{begin} to {end}, times in {zone_words(to_zone(heading.end, heading.zone))}"
    by = f"Made {_moment(heading.made_at, heading)} by telnetsd {__version__}."
    yield f'<p class="meta">{escape(made)}. {escape(by)}</p>\n'
    yield from _proof(proof)
    yield from _logins(happened, heading)
    yield from _refusals(happened)
    yield from _lines(happened.lines)
    yield from _events("Changes by operators", "no operator changed anything", happened.changes, heading)
    yield from _events("Alerts", "there were no alerts", happened.alerts, heading)
    yield from _endings(endings, heading)
    yield "</body></html>\n"


def _proof(proof: Proof) -> Iterator[str]:
    word = "The log is intact." if proof.is_intact else "THE LOG IS NOT INTACT."
    yield f'<div class="proof{"" if proof.is_intact else " bad"}"><strong>{word}</strong>'
    yield from (f"<br>{escape(one)}" for one in proof.sentences)
    yield "</div>\n"


def _logins(happened: Happened, heading: Heading) -> Iterator[str]:
    figures = happened.figures
    yield f"<h2>Logins</h2>\n<p>{sum(figures.logins_by_user.values())} sessions of {len(happened.users)} named users"
    yield f" and guests; {figures.events} events.</p>\n"
    yield chart(figures.logins_by_day, "logins by day")
    rows = [
        (name, str(one.logins), str(one.refusals), _moment(one.last_login, heading) if one.last_login else "-")
        for name, one in happened.users.items()
    ]
    yield table(("user", "logins", "refused", "last login"), rows, numbers={1, 2})


def _refusals(happened: Happened) -> Iterator[str]:
    refusals = happened.figures.refusals_by_reason
    yield f"<h2>Refusals</h2>\n<p>{sum(refusals.values())} sessions, handshakes and commands were refused.</p>\n"
    yield chart(refusals, "refusals by reason")
    rows = [(reason, str(count), meaning_of(reason)) for reason, count in refusals.items()]
    yield table(("reason", "times", "meaning"), rows, numbers={1})


def _lines(lines: Sequence[LineUse]) -> Iterator[str]:
    yield "<h2>Lines</h2>\n"
    seconds: dict[str, float] = {}
    for one in lines:
        seconds[one.line] = seconds.get(one.line, 0.0) + one.seconds
    minutes = {line: round(value / _MINUTE_S) for line, value in seconds.items()}
    yield chart(minutes, "minutes on each line") if any(minutes.values()) else ""
    rows = [(one.line, one.user, str(one.times), _duration(one.seconds)) for one in lines]
    yield table(("line", "by", "times", "time on it"), rows, numbers={2, 3})


def _events(title: str, nothing: str, events: Rows, heading: Heading) -> Iterator[str]:
    yield f"<h2>{title}</h2>\n"
    if not events.rows:
        yield f"<p>{nothing}</p>\n"
        return
    form = "%Y-%m-%d %H:%M:%S"
    rows = [(one.time(heading.zone, form), one.user, one.action, one.what) for one in events.rows]
    yield table(("time", "who", "event", "what"), rows)
    if events.left_out:
        yield f"<p>and {events.left_out} more; see: telnetsd audit search</p>\n"


def _endings(endings: Sequence[Ending], heading: Heading) -> Iterator[str]:
    yield "<h2>Certificates that end soon</h2>\n"
    rows = [(one.user, one.device, _day(one.not_after, heading)) for one in endings]
    yield table(("user", "device", "valid until"), rows) if rows else "<p>none</p>\n"


def chart(counts: Mapping[str, int], title: str) -> str:
    """Return a bar chart as SVG, with the figure beside each bar: it reads the same in black and white."""
    shown = list(counts.items())[:_BARS_MAX]
    if not shown:
        return ""
    most = max(1, *counts.values())
    height = _ROW_HEIGHT * len(shown)
    width = _LABEL_WIDTH + _BAR_WIDTH + _LABEL_WIDTH // 2
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    return f'<svg role="img" aria-label="{escape(title)}" {size}>{"".join(_bars(shown, most))}</svg>\n'


def _bars(shown: Iterable[tuple[str, int]], most: int) -> Iterator[str]:
    for row, (word, count) in enumerate(shown):
        top, bar = row * _ROW_HEIGHT, round(_BAR_WIDTH * count / most)
        baseline = top + _BAR_HEIGHT
        yield f'<text x="{_LABEL_WIDTH - 8}" y="{baseline}" text-anchor="end">{escape(word[:28])}</text>'
        yield f'<rect x="{_LABEL_WIDTH}" y="{top + 2}" width="{bar}" height="{_BAR_HEIGHT}"/>'
        yield f'<text x="{_LABEL_WIDTH + bar + 6}" y="{baseline}">{count}</text>'


def table(titles: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[int] | None = None) -> str:
    """Return a table; the columns in `numbers` are aligned to the right."""
    if not rows:
        return ""
    right = numbers or set()
    body = "".join(_row("td", row, right) for row in rows)
    return f"<table><thead>{_row('th', titles, right)}</thead>\n<tbody>{body}</tbody></table>\n"


def _row(tag: str, cells: Sequence[str], right: set[int]) -> str:
    marks = [' class="n"' if at in right else "" for at in range(len(cells))]
    inner = "".join(f"<{tag}{mark}>{escape(text)}</{tag}>" for mark, text in zip(marks, cells, strict=True))
    return f"<tr>{inner}</tr>\n"


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), _HOUR_S)
    return f"{hours}:{rest // _MINUTE_S:02}:{rest % _MINUTE_S:02}"


def _moment(at: datetime, heading: Heading) -> str:
    return f"{to_zone(at, heading.zone):%Y-%m-%d %H:%M}"


def _day(at: datetime, heading: Heading) -> str:
    return f"{to_zone(at, heading.zone):%Y-%m-%d}"
