"""Certificates by fingerprint, from the one event of a session that has them in full."""

from typing import Any

import pytest

from telnetsd.audit.recall import CertificateRecall, complete_all


def event(sha256: str, x509: dict[str, str] | None = None) -> dict[str, Any]:
    client: dict[str, Any] = {"hash": {"sha256": sha256}}
    if x509 is not None:
        client |= {"x509": x509, "subject": f"CN={sha256}"}
    return {"tls": {"client": client}}


def subjects(*events: dict[str, Any]) -> list[str | None]:
    return [one["tls"]["client"].get("subject") for one in complete_all(events)]


def test_a_later_event_is_completed_with_the_certificate_of_its_fingerprint() -> None:
    assert subjects(event("aa", {}), event("aa"), event("bb")) == ["CN=aa", "CN=aa", None]


@pytest.mark.parametrize("other", [{}, {"tls": {"client": "text"}}, {"tls": {"client": {"hash": {"sha256": 7}}}}])
def test_an_event_without_a_fingerprint_is_returned_as_it_is(other: dict[str, Any]) -> None:
    assert CertificateRecall().complete(other) == other


def test_beyond_the_maximum_the_certificate_that_was_unused_for_longest_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("telnetsd.audit.recall.CERTIFICATES_MAX", 2)
    events = (event("aa", {}), event("bb", {}), event("aa"), event("cc", {}), event("aa"), event("bb"))
    assert subjects(*events)[-2:] == ["CN=aa", None]
