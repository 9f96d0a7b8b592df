"""Chains of signatures that lead from a trust anchor down to a leaf.

The search goes from the anchors downwards: no signature is ever checked with a key that no trust anchor vouches for.
So a peer can decide neither which keys the server computes with nor how often. The maximum is one check for each pair
of a certificate that the peer sent and a CA with the issuer name of that certificate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from telnetsd.pki.certificate import PRESENTED_MAX, is_issued_by

AUTHORITIES_MAX: Final = 64
"""The maximum number of chains to CAs that are followed: cross-certified CAs can lead to each other in many ways."""

Chain = tuple[x509.Certificate, ...]
"""Certificates, each signed by the next one; the last one is a trust anchor."""


@dataclass(frozen=True, slots=True)
class Search:
    """The result of the search for a leaf's chains.

    Attributes:
        chains: Every chain from the leaf, shortest first.
        authorities: The chains of the CAs that lead to the leaf, each from a CA to its anchor.
        has_named_issuer: Whether an anchor vouches for a CA with the leaf's issuer name.
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
        known: Intermediates, in any order; they may be unverified.
        anchors: The trust anchors.
    """
    names, helpers = _names_above(leaf, known)
    authorities: list[Chain] = [(anchor,) for anchor in anchors if anchor.subject in names]
    verified: dict[tuple[int, int], bool] = {}
    # The list grows during the loop: each CA that another CA vouches for is examined in its turn.
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
