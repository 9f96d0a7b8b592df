"""Reasons: each carries its sentence, and those of refusals are complete."""

import string
from enum import EnumType

import pytest

from telnetsd.events import reason as reasons
from telnetsd.events.reason import CrlProblem, Reason, RefusalReason

PLACES = {"subject", "issuer", "not_before", "not_after", "key", "fault", "since", "why"}
"""The placeholders that `session.greeting` fills in."""
KINDS = [
    kind for kind in vars(reasons).values() if isinstance(kind, EnumType) and issubclass(kind, Reason) and len(kind)
]


def test_a_reason_without_a_sentence_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match="'too-blue' has no sentence"):

        class Blue(Reason):
            BLUE = "too-blue"


def test_a_reason_is_found_by_its_word_and_equals_that_word() -> None:
    for kind in KINDS:
        for word in kind:
            assert kind(word.value) is word
            assert str(word) == word.value == word


def test_every_refusal_has_a_remedy_and_only_known_placeholders() -> None:
    for kind in RefusalReason.__args__:
        for word in kind:
            assert word.remedy
            assert {name for _, name, _, _ in string.Formatter().parse(word.sentence) if name} <= PLACES


def test_only_the_sentences_of_refusals_and_crls_have_placeholders() -> None:
    for kind in set(KINDS) - {*RefusalReason.__args__, CrlProblem}:
        assert not [word for word in kind if "{" in word.sentence]
