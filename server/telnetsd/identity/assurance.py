"""Assurance classes: how far a CA looked into who somebody is.

A class is a policy OID that the operator gave a number. An OID in a certificate counts only along a path that asserts
it throughout, to a trust anchor that may assert it; else the class is what the operator gave the trust anchor.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from telnetsd.config.settings import ClassSettings, TrustAnchorSettings
from telnetsd.config.values import fingerprint_hex
from telnetsd.pki.path import Path

CLASS_MAX: Final = 9
BUILT_IN_CLASS: Final = 1
"""Of those whom the operator issued a certificate to, without saying more."""


@dataclass(frozen=True, slots=True)
class AnchorWord:
    """How far a trust anchor's word goes: the class of all below it, and the highest that they may assert."""

    assurance_class: int
    max_class: int


BUILT_IN_WORD: Final = AnchorWord(BUILT_IN_CLASS, CLASS_MAX)
NO_WORD: Final = AnchorWord(0, 0)


class AssuranceClasses:
    """The classes of one configuration.

    Args:
        classes: Name, policy OID and meaning, by number.
        words: How far each trust anchor's word goes, by its fingerprint (lower-case hexadecimal).
    """

    def __init__(self, classes: Mapping[int, ClassSettings], words: Mapping[str, AnchorWord]) -> None:
        self._classes = classes
        self._words = words

    def class_of(self, path: Path) -> int:
        """Return the class of a validated path."""
        word = self._words.get(path.fingerprints_sha256[-1], NO_WORD)
        asserted = (
            number for number, one in self._classes.items() if number <= word.max_class and one.oid in path.policies
        )
        return max(asserted, default=word.assurance_class)

    def name_of(self, assurance_class: int) -> str:
        """Return what the operator calls a class and what was checked for it, or nothing."""
        one = self._classes.get(assurance_class)
        return f"{one.name}: {one.checked}" if one else ""


def make_classes(
    classes: Mapping[int, ClassSettings], anchors: Iterable[TrustAnchorSettings], built_in: Iterable[str]
) -> AssuranceClasses:
    """Put the classes together; `built_in` are the fingerprints of the built-in CA's anchors."""
    words = dict.fromkeys(built_in, BUILT_IN_WORD)
    for one in anchors:
        words[fingerprint_hex(one.fingerprint)] = AnchorWord(
            one.assurance_class, max(one.assurance_class, one.max_class)
        )
    return AssuranceClasses(classes, words)
