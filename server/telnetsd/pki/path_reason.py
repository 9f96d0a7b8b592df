"""Why a certificate does not lead to a user: the reasons for a refusal, and the rules for a leaf and for a CA.

A certificate that breaks a rule is refused, whichever CA signed it. No rule here establishes a path.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from telnetsd.events.reason import PathReason
from telnetsd.pki.certificate import TEXT_MAX_CHARS, extension_of
from telnetsd.pki.keys import is_strong_key, is_supported_key
from telnetsd.pki.policies import POLICY_MAPPINGS

SIGNATURE_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
SERIAL_MAX_BITS: Final = 160
_PROCESSED: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        POLICY_MAPPINGS,
    }
)
"""The extensions that may be critical: path validation processes each of them (RFC 5280 section 6.1)."""
_PURPOSES: Final = frozenset({ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE})


def leaf_problem(leaf: x509.Certificate) -> PathReason | None:
    """Return the first problem of the leaf alone that forbids a login with it, whichever CA signed it."""
    return PathReason.CA_CERTIFICATE if _is_ca(leaf) else _problem_beside_ca(leaf)


def pin_problem(leaf: x509.Certificate, at: datetime) -> PathReason | None:
    """Return the problem that forbids a login with a self-signed leaf whose key is pinned.

    A CA certificate is no problem here (it is the default of `openssl req -x509`): a pin names one key, and vouches
    for nothing.
    """
    problem = _problem_beside_ca(leaf)
    if problem is None and unprocessed_extension(leaf):
        problem = PathReason.UNKNOWN_CRITICAL_EXTENSION
    return problem or validity_problem(leaf, at)


def validity_problem(leaf: x509.Certificate, at: datetime) -> PathReason | None:
    """Return why a certificate is not valid at a time; its period includes both ends (RFC 5280 section 6.1.3)."""
    if at > leaf.not_valid_after_utc:
        return PathReason.EXPIRED
    if at < leaf.not_valid_before_utc:
        return PathReason.NOT_YET_VALID
    return None


def has_weak_signature(certificate: x509.Certificate) -> bool:
    """Tell whether a certificate is signed with a hash that is too weak, or in a way that is not supported."""
    try:
        algorithm = certificate.signature_hash_algorithm
    except Exception:  # noqa: BLE001 -- whatever the X.509 library raises, the signature cannot be verified
        return True
    # No algorithm: the signature scheme (such as Ed25519) has no separate hash.
    return algorithm is not None and not isinstance(algorithm, SIGNATURE_HASHES)


def unprocessed_extension(certificate: x509.Certificate) -> str:
    """Return the OID of a critical extension that is not processed here (RFC 5280 section 4.2); empty if none."""
    unprocessed = (one.oid for one in certificate.extensions if one.critical and one.oid not in _PROCESSED)
    return next((oid.dotted_string for oid in unprocessed), "")


def authority_problem(authority: x509.Certificate, at: datetime) -> str:
    """Return why a CA certificate may not vouch for clients at a time (RFC 5280 section 6.1.4); empty if it may."""
    return next(authority_problems(authority), "") or _authority_validity_problem(authority, at)


def role_problems(authority: x509.Certificate) -> Iterator[str]:
    """Yield the reasons why a certificate cannot be that of a CA (RFC 5280 section 6.1.4 (k) and (n))."""
    constraints = extension_of(authority, x509.BasicConstraints)
    if constraints is None:
        yield "it has no basicConstraints extension"
    elif not constraints.ca:
        yield "it is not a CA certificate"
    usage = extension_of(authority, x509.KeyUsage)
    # Without keyUsage, as in a CA made by `openssl req -x509`, nothing is restricted.
    if usage is not None and not usage.key_cert_sign:
        yield "its keyUsage does not allow it to sign certificates"


def authority_problems(authority: x509.Certificate) -> Iterator[str]:
    """Yield the reasons why a CA certificate can never vouch for clients."""
    yield from role_problems(authority)
    purposes = extension_of(authority, x509.ExtendedKeyUsage)
    if purposes is not None and _PURPOSES.isdisjoint(purposes):
        yield "its extendedKeyUsage does not allow it to vouch for clients: clientAuth is missing"
    unprocessed = unprocessed_extension(authority)
    if unprocessed:
        yield f"its critical extension {unprocessed} is not processed here"


def subject_of(certificate: x509.Certificate) -> str:
    """Return a subject in RFC 4514 form, limited in length and unescaped."""
    return certificate.subject.rfc4514_string()[:TEXT_MAX_CHARS]


def _authority_validity_problem(authority: x509.Certificate, at: datetime) -> str:
    match validity_problem(authority, at):
        case PathReason.EXPIRED:
            return f"it expired on {authority.not_valid_after_utc:%Y-%m-%d at %H:%M} UTC"
        case PathReason.NOT_YET_VALID:
            return f"it is not valid before {authority.not_valid_before_utc:%Y-%m-%d at %H:%M} UTC"
    return ""


def _problem_beside_ca(leaf: x509.Certificate) -> PathReason | None:
    for applies, reason in _LEAF_RULES:
        if applies(leaf):
            return reason
    return None


def _is_ca(leaf: x509.Certificate) -> bool:
    constraints = extension_of(leaf, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _is_for_another_purpose(leaf: x509.Certificate) -> bool:
    usage, purposes = extension_of(leaf, x509.KeyUsage), extension_of(leaf, x509.ExtendedKeyUsage)
    # RFC 5280 4.2.1.12: no EKU, no restriction; with an EKU the purpose must be named.
    is_named = purposes is None or ExtendedKeyUsageOID.CLIENT_AUTH in purposes
    return not is_named or (usage is not None and not usage.digital_signature)


def _has_unsupported_key(leaf: x509.Certificate) -> bool:
    return not is_supported_key(leaf.public_key())


def _has_weak_key(leaf: x509.Certificate) -> bool:
    return not is_strong_key(leaf.public_key())


def _has_bad_serial_number(leaf: x509.Certificate) -> bool:
    # RFC 5280 4.1.2.2: a positive integer of at most 20 octets. A CRL identifies a certificate by it.
    return not (leaf.serial_number > 0 and leaf.serial_number.bit_length() <= SERIAL_MAX_BITS)


_LEAF_RULES: Final[tuple[tuple[Callable[[x509.Certificate], bool], PathReason], ...]] = (
    (_is_for_another_purpose, PathReason.WRONG_PURPOSE),
    (_has_unsupported_key, PathReason.UNSUPPORTED_KEY),
    (_has_weak_key, PathReason.WEAK_KEY),
    (_has_bad_serial_number, PathReason.BAD_SERIAL_NUMBER),
)
