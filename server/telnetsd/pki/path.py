"""Path validation: RFC 5280 section 6, from the presented leaf to a trust anchor.

The `cryptography` library's client verifier decides. What it does not look at in a leaf (weak keys) is decided here
as well, so that both must agree. When the answer is no, this module looks for the reason, and the reason alone:
nothing that it finds then can turn a refusal into a path.

The chain comes from the peer. At most `PRESENTED_MAX` intermediates are looked at, and one that cannot be read is
left out, as if it had not been sent.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy

from telnetsd.errors import PeerError
from telnetsd.pki.certificate import (
    PRESENTED_MAX,
    MalformedCertificateError,
    PeerCertificate,
    parse_certificate,
    without_warnings,
)
from telnetsd.pki.trust import Trust

LEAF_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
SIGNATURE_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
LEAF_RSA_MIN_BITS: Final = 2048
LEAF_RSA_MAX_BITS: Final = 8192


class PathReason(StrEnum):
    """Why there is no path."""

    MALFORMED = "certificate-malformed"
    EXPIRED = "certificate-expired"
    NOT_YET_VALID = "certificate-not-yet-valid"
    SELF_SIGNED = "self-signed-not-pinned"
    UNKNOWN_ISSUER = "unknown-issuer"
    BAD_SIGNATURE = "bad-signature"
    CA_CERTIFICATE = "ca-certificate"
    WRONG_PURPOSE = "wrong-purpose"
    WEAK_KEY = "weak-key"
    WEAK_SIGNATURE = "weak-signature"
    UNKNOWN_CRITICAL_EXTENSION = "unknown-critical-extension"
    BAD_PATH = "bad-path"


class PathError(PeerError):
    """No path leads from the leaf to a trust anchor; `.reason` says why."""

    def __init__(self, reason: PathReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Path:
    """A validated path: the leaf first, the trust anchor last."""

    certificates: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The peer's certificate, now verified."""
        return self.certificates[0]

    @property
    def issuer(self) -> x509.Certificate:
        """The CA that signed the leaf."""
        return self.certificates[1]

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
    presented = _parse_presented(peer)
    with without_warnings():
        return _find_path(leaf, presented, trust, at)


def _find_path(leaf: x509.Certificate, presented: list[x509.Certificate], trust: Trust, at: datetime) -> Path:
    profile_problem = _leaf_problem(leaf)
    path = _verify(leaf, presented, trust, at) if profile_problem is None else None
    # The verifier counts whole seconds; `at` may be past the last of them.
    if path is None or at > path.valid_until:
        raise PathError(_reason_for_refusal(leaf, presented, trust, at, profile_problem))
    return path


def _parse_presented(peer: PeerCertificate) -> list[x509.Certificate]:
    certificates = []
    for der in peer.presented_der[:PRESENTED_MAX]:
        try:
            certificates.append(parse_certificate(der))
        except MalformedCertificateError:
            continue
    return certificates


def _verify(leaf: x509.Certificate, presented: list[x509.Certificate], trust: Trust, at: datetime) -> Path | None:
    verifier = (
        verification.PolicyBuilder()
        .store(trust.store)
        .time(at)
        .max_chain_depth(PRESENTED_MAX)
        .extension_policies(ca_policy=ExtensionPolicy.webpki_defaults_ca(), ee_policy=_LEAF_POLICY)
        .build_client_verifier()
    )
    try:
        chain = verifier.verify(leaf, presented).chain
    except verification.VerificationError:
        return None
    # A path of one is a leaf that is itself in the store: a trust anchor is never a user.
    return Path(tuple(chain)) if len(chain) > 1 else None


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
)


def _leaf_problem(leaf: x509.Certificate) -> PathReason | None:
    """The first thing in the leaf alone that forbids a login with it, whoever signed it."""
    for applies, reason in (
        (_is_ca, PathReason.CA_CERTIFICATE),
        (_is_for_another_purpose, PathReason.WRONG_PURPOSE),
        (_is_weak, PathReason.WEAK_KEY),
    ):
        if applies(leaf):
            return reason
    return None


def _is_ca(leaf: x509.Certificate) -> bool:
    try:
        return leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _is_for_another_purpose(leaf: x509.Certificate) -> bool:
    for extension in leaf.extensions:
        match extension.value:
            case x509.KeyUsage(digital_signature=False):
                return True
            case x509.ExtendedKeyUsage() as purposes if ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
                return True
    return False


def _is_weak(leaf: x509.Certificate) -> bool:
    key = leaf.public_key()
    match key:
        case rsa.RSAPublicKey():
            return not LEAF_RSA_MIN_BITS <= key.key_size <= LEAF_RSA_MAX_BITS
        case ec.EllipticCurvePublicKey():
            return not isinstance(key.curve, LEAF_CURVES)
        case ed25519.Ed25519PublicKey():
            return False
    return True


def _reason_for_refusal(
    leaf: x509.Certificate,
    presented: list[x509.Certificate],
    trust: Trust,
    at: datetime,
    profile_problem: PathReason | None,
) -> PathReason:
    vouching = _missing_voucher(leaf, presented, trust)
    if vouching is PathReason.SELF_SIGNED:
        return _validity_problem(leaf, at) or PathReason.SELF_SIGNED
    if vouching is not None:
        return vouching
    if profile_problem is not None:
        return profile_problem
    if _has_unknown_critical_extension(leaf):
        return PathReason.UNKNOWN_CRITICAL_EXTENSION
    return _validity_problem(leaf, at) or PathReason.BAD_PATH


def _missing_voucher(leaf: x509.Certificate, presented: list[x509.Certificate], trust: Trust) -> PathReason | None:
    """Follow the signatures from the leaf upwards; None when they reach a trust anchor."""
    if _is_signed_by(leaf, leaf) and leaf not in trust.certificates:
        return PathReason.SELF_SIGNED
    certificate = leaf
    for _ in range(PRESENTED_MAX + 1):
        issuers = [one for one in (*trust.certificates, *presented) if one.subject == certificate.issuer]
        signer = next((one for one in issuers if _is_signed_by(certificate, one)), None)
        if signer is None:
            return _unsigned(leaf) if issuers and certificate is leaf else PathReason.UNKNOWN_ISSUER
        if signer in trust.certificates:
            return None
        certificate = signer
    return PathReason.UNKNOWN_ISSUER


def _unsigned(leaf: x509.Certificate) -> PathReason:
    """Say why a leaf was not signed by the issuer that it names."""
    try:
        algorithm = leaf.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return PathReason.WEAK_SIGNATURE
    # No algorithm: the signature (as of Ed25519) does without a hash of its own.
    is_weak = algorithm is not None and not isinstance(algorithm, SIGNATURE_HASHES)
    return PathReason.WEAK_SIGNATURE if is_weak else PathReason.BAD_SIGNATURE


def _is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _has_unknown_critical_extension(leaf: x509.Certificate) -> bool:
    return any(one.critical and isinstance(one.value, x509.UnrecognizedExtension) for one in leaf.extensions)


def _validity_problem(leaf: x509.Certificate, at: datetime) -> PathReason | None:
    # RFC 5280 6.1.3 (a) (2): the validity period includes both ends.
    if at > leaf.not_valid_after_utc:
        return PathReason.EXPIRED
    if at < leaf.not_valid_before_utc:
        return PathReason.NOT_YET_VALID
    return None
