"""Path validation: RFC 5280 section 6, from the presented leaf to a trust anchor.

The module `chains` follows the signatures; `path_rules` and `policies` hold the other rules. The `cryptography`
library's own verifier must agree (`second_opinion`).

The peer sends the chain. At most `PRESENTED_MAX` intermediates are examined. An intermediate is ignored, as if it had
not been sent, if it cannot be read, is too long, or is made to keep the server busy. An intermediate that is known
here is also ignored, and the known copy counts instead: a peer can give a certificate another valid signature.
"""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from cryptography import x509

from telnetsd.errors import PeerError
from telnetsd.events.reason import PathReason
from telnetsd.pki.certificate import (
    PRESENTED_MAX,
    MalformedCertificateError,
    PeerCertificate,
    certificate_sha256,
    is_issued_by,
    parse_certificate,
    spki_sha256,
    without_warnings,
)
from telnetsd.pki.chains import Chain, Search, find_chains
from telnetsd.pki.facts import PathProblem
from telnetsd.pki.fingerprints import fingerprints_of
from telnetsd.pki.keys import is_costly_key
from telnetsd.pki.path_reason import (
    has_weak_signature,
    leaf_problem,
    subject_of,
    unprocessed_extension,
    validity_problem,
)
from telnetsd.pki.path_rules import chain_problem
from telnetsd.pki.policies import PolicyError, asserted_policies
from telnetsd.pki.second_opinion import library_objection
from telnetsd.pki.trust import Trust

CONSTRAINTS_MAX: Final = 50
"""The maximum number of name constraints in an intermediate that a peer sends."""


class PathError(PeerError):
    """No path leads from the leaf to a trust anchor; `.problem` says why."""

    def __init__(self, problem: PathProblem) -> None:
        super().__init__(problem.cause or problem.reason.value)
        self.problem = problem

    @property
    def reason(self) -> PathReason:
        """The audit reason."""
        return self.problem.reason


@dataclass(frozen=True, slots=True)
class Signer:
    """A CA that may sign CRLs about a certificate of a path; `issuer` is the CA that vouches for it."""

    certificate: x509.Certificate
    sha256: str
    issuer: x509.Certificate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationPath:
    """A validated path: the leaf first, the trust anchor last.

    Attributes:
        certificates: The path.
        fingerprints_sha256: The fingerprint of each certificate; made once, because every login with the leaf is
            looked up by them.
        known_by: Every fingerprint that may name a certificate of the path: see `pki.fingerprints`.
        leaf_spki_sha256: The SHA-256 of the leaf's public key.
        leaf_serial_number: In upper-case hexadecimal.
        policies: The OIDs of the certificate policies that the path asserts, as the trust anchor calls them.
        signers: For each certificate below the anchor, the CAs that may sign CRLs about it: first its issuer, then
            CAs with the same name and other keys that the same anchor vouches for.
    """

    certificates: tuple[x509.Certificate, ...]
    fingerprints_sha256: tuple[str, ...]
    known_by: frozenset[str]
    leaf_spki_sha256: str
    leaf_serial_number: str
    policies: frozenset[str]
    signers: tuple[tuple[Signer, ...], ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The peer's certificate, now verified."""
        return self.certificates[0]

    @property
    def valid_until(self) -> datetime:
        """The earliest notAfter of the path (aware, UTC): the path is valid until then."""
        return min(certificate.not_valid_after_utc for certificate in self.certificates)


def validate_path(peer: PeerCertificate, trust: Trust, at: datetime) -> CertificationPath:
    """Find a path from the leaf to a trust anchor (RFC 5280 section 6).

    Args:
        peer: The leaf and intermediates as sent, in any order.
        trust: The trust anchors of one generation.
        at: Aware UTC time of validation.
    Returns: The path, leaf first, trust anchor last.
    Raises:
        PathError: No path; `.problem` says why.
    """
    try:
        with without_warnings():
            return _find_path(_parse_leaf(peer), peer, trust, at)
    except PathError:
        raise
    except Exception as error:
        # The peer chose the bytes: whatever the X.509 library raises, they are not a valid certificate.
        raise PathError(PathProblem(PathReason.MALFORMED, f"{type(error).__name__}: {error}")) from error


def _parse_leaf(peer: PeerCertificate) -> x509.Certificate:
    try:
        leaf = parse_certificate(peer.leaf_der)
    except MalformedCertificateError as error:
        raise PathError(PathProblem(PathReason.MALFORMED, str(error))) from error
    if is_costly_key(leaf.public_key()):
        raise PathError(PathProblem(PathReason.WEAK_KEY))
    return leaf


def _find_path(leaf: x509.Certificate, peer: PeerCertificate, trust: Trust, at: datetime) -> CertificationPath:
    known = [*_parse_presented(peer, trust), *trust.intermediates]
    search = find_chains(leaf, known, trust.certificates)
    problem = _leaf_problem(leaf, search, trust, at)
    if problem is not None:
        raise PathError(problem)
    first: PathProblem | None = None
    for chain in search.chains:
        found = _judge(chain, search, at)
        if isinstance(found, CertificationPath):
            return found
        first = first or found
    raise PathError(first or PathProblem(PathReason.UNKNOWN_ISSUER))


def _parse_presented(peer: PeerCertificate, trust: Trust) -> list[x509.Certificate]:
    known = {one.tbs_certificate_bytes for one in trust.authorities}
    certificates = []
    for der in peer.presented_der[:PRESENTED_MAX]:
        try:
            certificate = parse_certificate(der)
        except MalformedCertificateError:
            continue
        if certificate.tbs_certificate_bytes not in known and not _is_costly(certificate):
            certificates.append(certificate)
    return certificates


def _is_costly(certificate: x509.Certificate) -> bool:
    """Tell whether a peer's certificate would keep the server busy: each name is compared with each constraint."""
    constraints = [one.value for one in certificate.extensions if isinstance(one.value, x509.NameConstraints)]
    count = sum(len(one.permitted_subtrees or ()) + len(one.excluded_subtrees or ()) for one in constraints)
    return count > CONSTRAINTS_MAX or is_costly_key(certificate.public_key())


def _leaf_problem(leaf: x509.Certificate, search: Search, trust: Trust, at: datetime) -> PathProblem | None:
    """Return what is wrong with the leaf; its issuer is checked first, because the rest means nothing without it."""
    reason = _vouching_problem(leaf, search, trust, at) or leaf_problem(leaf)
    if reason is None and has_weak_signature(leaf):
        reason = PathReason.WEAK_SIGNATURE
    unprocessed = unprocessed_extension(leaf)
    if reason is None and unprocessed:
        return PathProblem(PathReason.UNKNOWN_CRITICAL_EXTENSION, f"the critical extension {unprocessed}")
    reason = reason or validity_problem(leaf, at)
    return None if reason is None else PathProblem(reason)


def _vouching_problem(leaf: x509.Certificate, search: Search, trust: Trust, at: datetime) -> PathReason | None:
    if search.chains:
        return None
    if leaf in trust.certificates:
        return PathReason.CA_CERTIFICATE
    if leaf.issuer == leaf.subject and is_issued_by(leaf, leaf):
        return validity_problem(leaf, at) or PathReason.SELF_SIGNED
    if not search.has_named_issuer:
        return PathReason.UNKNOWN_ISSUER
    return PathReason.WEAK_SIGNATURE if has_weak_signature(leaf) else PathReason.BAD_SIGNATURE


def _judge(chain: Chain, search: Search, at: datetime) -> CertificationPath | PathProblem:
    problem = chain_problem(chain, at)
    if problem is not None:
        return problem
    try:
        policies = asserted_policies(chain)
    except PolicyError as error:
        return PathProblem(PathReason.BAD_PATH, str(error), subject_of(error.certificate))
    objection = library_objection(chain, at)
    if objection:
        return PathProblem(PathReason.BAD_PATH, objection, subject_of(chain[0]))
    return _make_path(chain, policies, search, at)


def _make_path(chain: Chain, policies: frozenset[str], search: Search, at: datetime) -> CertificationPath:
    leaf, fingerprints = chain[0], tuple(map(certificate_sha256, chain))
    variants = (fingerprints_of(one, issuer) for one, issuer in pairwise(chain))
    return CertificationPath(
        certificates=chain,
        fingerprints_sha256=fingerprints,
        known_by=frozenset(fingerprints).union(*variants),
        leaf_spki_sha256=spki_sha256(leaf),
        leaf_serial_number=f"{leaf.serial_number:X}",
        policies=policies,
        signers=tuple(
            (Signer(issuer, sha256), *_other_signers(issuer, chain[-1], search, at))
            for issuer, sha256 in zip(chain[1:], fingerprints[1:], strict=True)
        ),
    )


def _other_signers(issuer: x509.Certificate, anchor: x509.Certificate, search: Search, at: datetime) -> list[Signer]:
    """Return the CAs with the issuer's name and another key (RFC 5280 section 6.3.3 (f)) below the same anchor."""
    found = []
    for chain in search.authorities:
        other = chain[0]
        is_namesake = other.subject == issuer.subject and other.public_key() != issuer.public_key()
        if is_namesake and chain[-1] is anchor and len(chain) > 1 and chain_problem(chain, at) is None:
            found.append(Signer(other, certificate_sha256(other), chain[1]))
    return found
