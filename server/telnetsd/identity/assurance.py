"""Assurance classes: how far a CA investigated a user's identity.

A class is a policy OID to which the operator gave a number. An OID in a certificate counts only if the whole path
asserts it, and leads to a trust anchor that may assert it. Otherwise the class is the one that the operator gave to
the trust anchor.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from telnetsd.config.settings import ClassSettings, TrustAnchorSettings
from telnetsd.config.values import BUILT_IN_CLASS, fingerprint_hex
from telnetsd.pki.path import CertificationPath

CLASS_MAX: Final = 9


@dataclass(frozen=True, slots=True)
class AnchorWord:
    """The limits of a trust anchor: the class of all certificates below it, and the highest that they may assert."""

    assurance_class: int
    max_class: int


BUILT_IN_WORD: Final = AnchorWord(BUILT_IN_CLASS, CLASS_MAX)
NO_WORD: Final = AnchorWord(0, 0)


class AssuranceClasses:
    """The classes of one configuration.

    Args:
        classes: Name, policy OID and meaning, by number.
        words: The limits of each trust anchor, by its fingerprint (lower-case hexadecimal).
    """

    def __init__(self, classes: Mapping[int, ClassSettings], words: Mapping[str, AnchorWord]) -> None:
        self._classes = classes
        self._words = words

    def class_of(self, path: CertificationPath) -> int:
        """Return the class of a validated path."""
        word = self._words.get(path.fingerprints_sha256[-1], NO_WORD)
        asserted = (
            number for number, one in self._classes.items() if number <= word.max_class and one.oid in path.policies
        )
        return max(asserted, default=word.assurance_class)

    def name_of(self, assurance_class: int) -> str:
        """Return the operator's name for a class and what was checked for it; empty if the class is unknown."""
        one = self._classes.get(assurance_class)
        return f"{one.name}: {one.checked}" if one else ""


def make_classes(
    classes: Mapping[int, ClassSettings], anchors: Iterable[TrustAnchorSettings], built_in: Iterable[str]
) -> AssuranceClasses:
    """Make the classes; `built_in` holds the fingerprints of the built-in CA's anchors."""
    words = dict.fromkeys(built_in, BUILT_IN_WORD)
    for one in anchors:
        words[fingerprint_hex(one.fingerprint)] = AnchorWord(
            one.assurance_class, max(one.assurance_class, one.max_class)
        )
    return AssuranceClasses(classes, words)
