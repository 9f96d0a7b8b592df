"""Why there is no path: the words for a refusal, and the rules of ours for a leaf.

`leaf_problem` is a rule: what it names is refused whoever signed it. `explain_refusal` only looks for the reason of a
refusal that has been decided; nothing that it finds makes a path.
"""

from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from telnetsd.pki.certificate import PRESENTED_MAX, is_issued_by
from telnetsd.pki.keys import is_strong_key

SIGNATURE_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
SERIAL_MAX_BITS: Final = 160
NAMESAKES_MAX: Final = 8
"""How many issuers of one name are tried for a reason."""


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
    BAD_SERIAL_NUMBER = "bad-serial-number"
    UNKNOWN_CRITICAL_EXTENSION = "unknown-critical-extension"
    BAD_PATH = "bad-path"


def leaf_problem(leaf: x509.Certificate) -> PathReason | None:
    """The first thing in the leaf alone that forbids a login with it, whoever signed it."""
    return PathReason.CA_CERTIFICATE if _is_ca(leaf) else _problem_beside_ca(leaf)


def _problem_beside_ca(leaf: x509.Certificate) -> PathReason | None:
    for applies, reason in (
        (_is_for_another_purpose, PathReason.WRONG_PURPOSE),
        (_has_weak_key, PathReason.WEAK_KEY),
        (_has_bad_serial_number, PathReason.BAD_SERIAL_NUMBER),
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


def _has_weak_key(leaf: x509.Certificate) -> bool:
    return not is_strong_key(leaf.public_key())


def _has_bad_serial_number(leaf: x509.Certificate) -> bool:
    # RFC 5280 4.1.2.2: a positive integer of at most 20 octets. It is what a CRL knows a certificate by.
    return not (leaf.serial_number > 0 and leaf.serial_number.bit_length() <= SERIAL_MAX_BITS)


def pin_problem(leaf: x509.Certificate, at: datetime) -> PathReason | None:
    """Say what forbids a login with a self-signed leaf whose key is pinned.

    That it is a CA certificate does not (it is the default of `openssl req -x509`): a pin names one key, and vouches
    for nothing.
    """
    problem = _problem_beside_ca(leaf)
    if problem is None and _has_unknown_critical_extension(leaf):
        problem = PathReason.UNKNOWN_CRITICAL_EXTENSION
    return problem or _validity_problem(leaf, at)


def explain_refusal(
    leaf: x509.Certificate, known: list[x509.Certificate], anchors: tuple[x509.Certificate, ...], at: datetime
) -> PathReason:
    """Say why there is no path; the arguments are those of the search that found none."""
    vouching = _missing_voucher(leaf, known, anchors)
    if vouching is PathReason.SELF_SIGNED:
        return _validity_problem(leaf, at) or PathReason.SELF_SIGNED
    if vouching is not None:
        return vouching
    problem = leaf_problem(leaf)
    if problem is not None:
        return problem
    if _has_weak_signature(leaf):
        return PathReason.WEAK_SIGNATURE
    if _has_unknown_critical_extension(leaf):
        return PathReason.UNKNOWN_CRITICAL_EXTENSION
    return _validity_problem(leaf, at) or PathReason.BAD_PATH


def _missing_voucher(
    leaf: x509.Certificate, known: list[x509.Certificate], anchors: tuple[x509.Certificate, ...]
) -> PathReason | None:
    """Follow the signatures from the leaf upwards; None when they reach a trust anchor."""
    if is_issued_by(leaf, leaf) and leaf not in anchors:
        return PathReason.SELF_SIGNED
    certificate, left = leaf, list(known)
    for _ in range(PRESENTED_MAX + 1):
        issuers = [one for one in (*anchors, *left) if one.subject == certificate.issuer]
        # A peer chooses names and keys: what it can make us verify is bounded, and no certificate is used twice.
        signer = next((one for one in issuers[:NAMESAKES_MAX] if is_issued_by(certificate, one)), None)
        left = [one for one in left if one not in issuers]
        if signer is None:
            return _unsigned(leaf) if issuers and certificate is leaf else PathReason.UNKNOWN_ISSUER
        if signer in anchors:
            return None
        certificate = signer
    return PathReason.UNKNOWN_ISSUER


def _unsigned(leaf: x509.Certificate) -> PathReason:
    """Say why a leaf was not signed by the issuer that it names."""
    return PathReason.WEAK_SIGNATURE if _has_weak_signature(leaf) else PathReason.BAD_SIGNATURE


def _has_weak_signature(leaf: x509.Certificate) -> bool:
    try:
        algorithm = leaf.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return True
    # No algorithm: the signature (as of Ed25519) does without a hash of its own.
    return algorithm is not None and not isinstance(algorithm, SIGNATURE_HASHES)


def _has_unknown_critical_extension(leaf: x509.Certificate) -> bool:
    return any(one.critical and isinstance(one.value, x509.UnrecognizedExtension) for one in leaf.extensions)


def _validity_problem(leaf: x509.Certificate, at: datetime) -> PathReason | None:
    # RFC 5280 6.1.3 (a) (2): the validity period includes both ends.
    if at > leaf.not_valid_after_utc:
        return PathReason.EXPIRED
    if at < leaf.not_valid_before_utc:
        return PathReason.NOT_YET_VALID
    return None
