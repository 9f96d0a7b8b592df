"""Chains of signatures that lead from a trust anchor down to a leaf.

They are looked for from the anchors downwards: no signature is ever checked with a key that no trust anchor vouches
for. So what a peer sends decides neither which keys the server computes with nor how often: at most once for each
certificate that it sent and each CA of the name that the certificate has as its issuer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from telnetsd.pki.certificate import PRESENTED_MAX, is_issued_by

AUTHORITIES_MAX: Final = 64
"""How many ways to CAs are followed: cross-certified CAs can lead to each other in many."""

Chain = tuple[x509.Certificate, ...]
"""Certificates, each signed by the one behind it; the last one is a trust anchor."""


@dataclass(frozen=True, slots=True)
class Search:
    """What was found for a leaf.

    Attributes:
        chains: Every chain from the leaf, the shortest first.
        authorities: The chains of the CAs that lead to it, each from a CA to its anchor.
        has_named_issuer: Whether a CA that an anchor vouches for has the name that the leaf has as its issuer.
    """

    chains: tuple[Chain, ...]
    authorities: tuple[Chain, ...]
    has_named_issuer: bool


def find_chains(
    leaf: x509.Certificate, known: Sequence[x509.Certificate], anchors: Iterable[x509.Certificate]
) -> Search:
    """Find every chain that leads to a leaf.

    Args:
        leaf: The leaf.
        known: Intermediates, in any order; nobody needs to have vouched for them.
        anchors: The trust anchors.
    """
    names, helpers = _names_above(leaf, known)
    authorities: list[Chain] = [(anchor,) for anchor in anchors if anchor.subject in names]
    verified: dict[tuple[int, int], bool] = {}
    # The list grows while it is walked: what a CA vouches for is looked at in its turn.
    for chain in authorities:
        for one in helpers:
            if len(authorities) >= AUTHORITIES_MAX:
                break
            if len(chain) <= PRESENTED_MAX and one not in chain and _is_signed(one, chain[0], verified):
                authorities.append((one, *chain))
    named = [chain for chain in authorities if chain[0].subject == leaf.issuer and leaf not in chain]
    chains = tuple((leaf, *chain) for chain in named if _is_signed(leaf, chain[0], verified))
    return Search(chains, tuple(authorities), bool(named))


def _names_above(
    leaf: x509.Certificate, known: Sequence[x509.Certificate]
) -> tuple[set[x509.Name], list[x509.Certificate]]:
    """Return the names that lead up from a leaf, and the known certificates whose subject is one of them."""
    names, helpers, rest = {leaf.issuer}, [], list(known)
    while found := [one for one in rest if one.subject in names]:
        helpers += found
        rest = [one for one in rest if one.subject not in names]
        names |= {one.issuer for one in found}
    return names, helpers


def _is_signed(
    certificate: x509.Certificate, issuer: x509.Certificate, verified: dict[tuple[int, int], bool]
) -> bool:
    """Tell whether a CA signed a certificate; each pair is computed once."""
    if certificate.issuer != issuer.subject:
        return False
    pair = id(certificate), id(issuer)
    if pair not in verified:
        verified[pair] = is_issued_by(certificate, issuer)
    return verified[pair]
