"""Path validation: RFC 5280 section 6, from the presented leaf to a trust anchor.

The `cryptography` library's client verifier decides, and so do our own rules for a leaf, which know weak keys as
well: both must agree.

The chain comes from the peer. At most `PRESENTED_MAX` intermediates are looked at, and one that cannot be read, or
that is made to keep the verifier busy, is left out, as if it had not been sent. So is one that is known here: with
ECDSA it could come with another valid signature, and what is known of a CA is known by its certificate.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy

from telnetsd.errors import PeerError
from telnetsd.pki.certificate import (
    PRESENTED_MAX,
    MalformedCertificateError,
    PeerCertificate,
    certificate_sha256,
    parse_certificate,
    spki_sha256,
    without_warnings,
)
from telnetsd.pki.keys import is_costly_key
from telnetsd.pki.path_reason import PathReason, explain_refusal, leaf_problem
from telnetsd.pki.policies import asserted_policies
from telnetsd.pki.trust import Trust

CONSTRAINTS_MAX: Final = 50
"""How many name constraints an intermediate that a peer sends may have."""


class PathError(PeerError):
    """No path leads from the leaf to a trust anchor; `.reason` says why."""

    def __init__(self, reason: PathReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Path:
    """A validated path: the leaf first, the trust anchor last.

    The hashes are made once, with the path: every login of its leaf is looked up by them. `policies` are the OIDs of
    the certificate policies that the whole path asserts of the leaf.
    """

    certificates: tuple[x509.Certificate, ...]
    fingerprints_sha256: tuple[str, ...]
    leaf_spki_sha256: str
    leaf_serial_number: str
    policies: frozenset[str]

    @property
    def leaf(self) -> x509.Certificate:
        """The peer's certificate, now verified."""
        return self.certificates[0]

    @property
    def valid_until(self) -> datetime:
        """The earliest notAfter of the path (aware, UTC): from then on it holds no more."""
        return min(certificate.not_valid_after_utc for certificate in self.certificates)


def validate_path(peer: PeerCertificate, trust: Trust, at: datetime) -> Path:
    """Find a path from the leaf to a trust anchor (RFC 5280 section 6).

    Args:
        peer: The leaf and intermediates as sent, in any order.
        trust: The trust anchors of one generation.
        at: Aware UTC time of validation.
    Returns: The path, leaf first, trust anchor last.
    Raises:
        PathError: No path; `.reason` is the audit reason.
    """
    try:
        leaf = parse_certificate(peer.leaf_der)
    except MalformedCertificateError as error:
        raise PathError(PathReason.MALFORMED) from error
    with without_warnings():
        if is_costly_key(leaf.public_key()):
            raise PathError(PathReason.WEAK_KEY)
        return _find_path(leaf, [*_parse_presented(peer, trust), *trust.intermediates], trust, at)


def _find_path(leaf: x509.Certificate, known: list[x509.Certificate], trust: Trust, at: datetime) -> Path:
    path = _verify(leaf, known, trust, at) if leaf_problem(leaf) is None else None
    # The verifier counts whole seconds; `at` may be past the last of them.
    if path is None or at > path.valid_until:
        raise PathError(explain_refusal(leaf, known, trust.certificates, at))
    return path


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
    """Tell whether a peer's certificate would keep the verifier busy: each name is held against each constraint."""
    constraints = [one.value for one in certificate.extensions if isinstance(one.value, x509.NameConstraints)]
    count = sum(len(one.permitted_subtrees or ()) + len(one.excluded_subtrees or ()) for one in constraints)
    return count > CONSTRAINTS_MAX or is_costly_key(certificate.public_key())


def _verify(leaf: x509.Certificate, known: list[x509.Certificate], trust: Trust, at: datetime) -> Path | None:
    verifier = (
        verification.PolicyBuilder()
        .store(trust.store)
        .time(at)
        .max_chain_depth(PRESENTED_MAX)
        .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
        .build_client_verifier()
    )
    try:
        chain = verifier.verify(leaf, known).chain
    except verification.VerificationError:
        return None
    # A path of one is a leaf that is itself in the store: a trust anchor is never a user.
    if len(chain) == 1:
        return None
    fingerprints = tuple(map(certificate_sha256, chain))
    return Path(
        tuple(chain), fingerprints, spki_sha256(leaf), f"{leaf.serial_number:X}", asserted_policies(tuple(chain))
    )


def _check_key_usage(_: verification.Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    # RFC 5280 4.2.1.3: with keyUsage present, the bit for the use at hand must be set.
    if usage is not None and not usage.digital_signature:
        raise ValueError("keyUsage without digitalSignature")


def _check_extended_key_usage(
    _: verification.Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    # RFC 5280 4.2.1.12: no EKU, no restriction; with an EKU the purpose must be named.
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("extendedKeyUsage without clientAuth")


def _check_basic_constraints(
    _: verification.Policy, __: x509.Certificate, constraints: x509.BasicConstraints | None
) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("a CA certificate is never a user")


def _permit(_: verification.Policy, __: x509.Certificate, ___: x509.ExtensionType | None) -> None:
    """Let an extension be present: it says nothing that a login depends on."""


# permit_all() takes a leaf without a subjectAltName, and still refuses critical extensions that nobody handles
# (RFC 5280 section 4.2); what a leaf must not say is refused by the callbacks.
_LEAF_POLICY: Final = (
    ExtensionPolicy.permit_all()
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_key_usage)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _check_extended_key_usage)
    .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _check_basic_constraints)
    .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, _permit)
    .may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, _permit)
)
# Policies are looked at along the path that was found, by pki.policies.
_CA_POLICY: Final = ExtensionPolicy.webpki_defaults_ca().may_be_present(
    x509.CertificatePolicies, Criticality.AGNOSTIC, _permit
)
