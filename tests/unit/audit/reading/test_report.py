"""What a report says: counted right, and harmless whatever the log holds."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.audit.index.blocks import Attachment
from telnetsd.audit.reading.report import ROWS_MAX, ReportWriter, line_use
from telnetsd.audit.reading.report_page import Ending, Heading, Proof, chart, meaning_of, report_page
from telnetsd.events.fields import timestamp
from telnetsd.events.reason import EndpointReason, GuestReason, PathReason, StatusReason

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=30)
HEADING = Heading(host="console.example", begin=BEGIN, end=END, made_at=END, zone=UTC)
INTACT = Proof(True, ["lines 1 to 9 are intact"])


def happened(action: str, user: str = "bob", **members: Any) -> dict[str, Any]:
    return {
        "@timestamp": timestamp(BEGIN + timedelta(hours=1)),
        "event": {"action": action, "outcome": "failure", "reason": "role-missing"},
        "message": f"{user}: something",
        "user": {"name": user},
        **members,
    }


def page(*events: dict[str, Any], proof: Proof = INTACT, attachments: tuple[Attachment, ...] = ()) -> str:
    writer = ReportWriter(UTC)
    for event in events:
        writer.add(event)
    endings = [Ending("alice", "<laptop>", END)]
    return "".join(report_page(HEADING, writer.happened(attachments, BEGIN, END), proof, endings))


class Tags(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    return tags


def test_a_report_has_users_refusals_changes_alerts_and_the_proof() -> None:
    text = page(
        happened("session-started"),
        happened("command-denied"),
        {**happened("user-added", telnetsd={"operator": {"name": "root"}}), "user": {"target": {"name": "nina"}}},
        happened("line-alert", telnetsd={"line": {"name": "switch-1"}}),
    )
    assert '<td>bob</td><td class="n">1</td><td class="n">1</td><td>2026-11-01 01:00</td>' in text
    assert '<td>role-missing</td><td class="n">1</td><td>the user has no role that has the command</td>' in text
    assert "<td>(root)</td><td>user-added</td>" in text
    assert "<td>line-alert</td>" in text
    assert "The log is intact.</strong><br>lines 1 to 9 are intact" in text
    assert "<td>alice</td><td>&lt;laptop&gt;</td><td>2026-12-01</td>" in text


def test_a_damaged_log_cannot_be_overlooked() -> None:
    text = page(proof=Proof(False, ["changed: audit.jsonl line 3: …"]))
    assert 'class="proof bad"><strong>THE LOG IS NOT INTACT.</strong><br>changed: audit.jsonl line 3' in text
    assert "no operator changed anything" in text
    assert "there were no alerts" in text


def test_the_page_has_no_script_and_loads_nothing() -> None:
    tags = read(page(happened("session-started"), happened("command-denied")))
    assert tags.tags <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "div", "strong", "br", "svg", "text",
        "rect", "table", "thead", "tbody", "tr", "th", "td",
    }  # fmt: skip
    assert not tags.attributes & {"src", "href", "style", "onload", "onclick"}
    assert "default-src &#x27;none&#x27;; style-src &#x27;unsafe-inline&#x27;" in page()
    assert not re.search(r"url\(|@import|https?://", page())


@given(st.text(), st.text())
def test_whatever_the_log_holds_is_text_on_the_page(name: str, message: str) -> None:
    hostile = happened("line-alert", user=f"{name}<script>", message=f"{message}</td><script>alert(1)</script>")
    tags = read(page(hostile, attachments=(Attachment("<b>", "1", f"{name}<i>", timestamp(BEGIN)),)))
    assert not tags.tags & {"script", "b", "i"}


def test_rows_of_one_kind_are_bounded() -> None:
    text = page(*[happened("line-alert")] * (ROWS_MAX + 7))
    assert "and 7 more; see: telnetsd audit search" in text


@pytest.mark.parametrize(
    ("opened", "closed", "seconds"),
    [
        (timedelta(hours=1), timedelta(hours=3), 7200),
        (timedelta(hours=-2), timedelta(hours=1), 3600),
        (timedelta(days=29, hours=23), timedelta(days=31), 3600),
        (timedelta(days=29, hours=23), None, 3600),
        (None, timedelta(hours=2), 7200),
    ],
)
def test_only_the_time_inside_the_interval_counts(
    opened: timedelta | None, closed: timedelta | None, seconds: int
) -> None:
    texts = [timestamp(BEGIN + one) if one is not None else "" for one in (opened, closed)]
    (use,) = line_use([Attachment("pdu", "1", "bob", *texts)] * 2, BEGIN, END)
    assert (use.line, use.user, use.times, use.seconds) == ("pdu", "bob", 2, 2 * seconds)
    before = Attachment("pdu", "1", "bob", timestamp(BEGIN - timedelta(days=2)), timestamp(BEGIN - timedelta(days=1)))
    assert line_use([before], BEGIN, END) == []


def test_a_chart_is_empty_without_figures_and_has_each_figure_as_text() -> None:
    assert chart({}, "nothing") == ""
    assert ">7</text>" in chart({"a<b": 7, "c": 0}, "some")
    assert "a&lt;b" in chart({"a<b": 7}, "some")


def test_the_meaning_of_a_reason_is_about_no_single_certificate() -> None:
    assert meaning_of("certificate-revoked") == "the certificate was revoked"
    assert meaning_of("unknown-issuer") == "the certificate was issued by a CA, which this server does not trust"
    for kind in (PathReason, StatusReason, GuestReason, EndpointReason):
        for reason in kind:
            meaning = meaning_of(reason.value)
            assert not set("{}…") & set(meaning), meaning
            assert "your certificate" not in meaning
