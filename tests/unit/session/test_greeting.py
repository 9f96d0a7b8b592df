"""The greeting, and the messages of refusals."""

from datetime import UTC, datetime, timedelta

import pytest

from telnetsd.commands.table import CommandTable
from telnetsd.events.reason import CertificateStatus, GuestReason, PathReason, RefusalReason, StatusReason
from telnetsd.identity.outcome import NamedUser, Refusal
from telnetsd.pki.facts import CertificateFacts, NameFacts
from telnetsd.session.greeting import greet, refuse

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FACTS = CertificateFacts(sha256="ab" * 32, subject=NameFacts("CN=x\x1b[2J"), issuer=NameFacts("CN=y\u202e"))


REASONS = [*GuestReason, *StatusReason, *(one for one in PathReason if one is not PathReason.SELF_SIGNED)]


@pytest.mark.parametrize("reason", REASONS)
def test_every_refusal_has_a_message_of_one_printable_screen_line(reason: RefusalReason) -> None:
    for facts in (FACTS, None):
        sentence, remedy = refuse(Refusal(reason=reason, status=CertificateStatus.REJECTED, certificate=facts))
        assert sentence.startswith(("refused: your c", "refused: the ", "refused: no current CRL "))
        assert sentence.isprintable()
        assert "{" not in sentence
        assert remedy


@pytest.mark.parametrize(
    ("left", "words"),
    [(timedelta(hours=5), "a few hours"), (timedelta(days=1), "1 day"), (timedelta(days=30, hours=2), "30 days")],
)
def test_the_greeting_names_the_user_and_the_remaining_validity(left: timedelta, words: str) -> None:
    user = NamedUser(
        name="alice", roles=("operator", "user"), rule_id="built-in-ca", certificate=FACTS, valid_until=NOW + left
    )
    first, *_ = greet(user, CommandTable([], {}), NOW, 30)
    assert first == f"you are alice (operator, user; class 0); your certificate ends in {words}"
