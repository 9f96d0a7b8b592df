"""The search for chains from the anchors downwards: complete, and bounded."""

import pytest

from support.certificates import Recipe, ca_extensions, make_ca, make_intermediate, name, now
from telnetsd.pki.chains import find_chains


def test_every_chain_to_a_leaf_is_found_and_each_signature_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two anchors with one name and one key: everything below them has two chains.
    old = make_ca("Root")
    new = make_ca("Root", key=old.key, not_after=now().replace(year=2040))
    first = make_intermediate(old, "First", path_length=1)
    second = make_intermediate(first, "Second")
    leaf = Recipe().signed_by(second)
    pairs: list[tuple[int, int]] = []

    def is_issued_by(certificate: object, issuer: object) -> bool:
        pairs.append((id(certificate), id(issuer)))
        return True

    monkeypatch.setattr("telnetsd.pki.chains.is_issued_by", is_issued_by)
    anchors = [old.certificate, new.certificate]
    found = find_chains(leaf.certificate, [first.certificate, second.certificate], anchors)
    assert [chain[-1] for chain in found.chains] == anchors
    assert len(set(pairs)) == len(pairs) == 4


def test_the_number_of_authorities_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telnetsd.pki.chains.AUTHORITIES_MAX", 4)
    root = make_ca("Root")
    copies = [
        Recipe(subject=name("Sub"), not_after=now().replace(year=2040), extensions=ca_extensions()).signed_by(root)
        for _ in range(8)
    ]
    leaf = Recipe().signed_by(copies[0])
    found = find_chains(leaf.certificate, [one.certificate for one in copies], [root.certificate])
    assert len(found.authorities) == 4
    assert found.has_named_issuer
