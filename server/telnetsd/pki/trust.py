"""The trust anchors of one generation.

A trust anchor is a CA certificate that the operator trusts to vouch for users. A certificate that could never do that
(an algorithm that is not accepted, no keyCertSign, not a CA) is refused with a message when it is loaded, and not at
the first login. A pin is never a trust anchor: it names one key and vouches for nothing. Neither is an intermediate:
it only helps to find a path.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.pki.certificate import TEXT_MAX_CHARS, key_facts, without_warnings
from telnetsd.pki.crl import RevocationLists
from telnetsd.pki.keys import CURVES, RSA_MIN_BITS, MlDsaPublicKey, is_costly_key
from telnetsd.pki.name_constraints import UnsupportedConstraintError, read_constraints
from telnetsd.pki.path_reason import authority_problems, role_problems


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A CA certificate, and the file that it came from, by the name to show for it."""

    certificate: x509.Certificate
    source: str


@dataclass(frozen=True, slots=True)
class Trust:
    """Trust anchors, intermediates and CRLs that were loaded together; a reload makes another Trust."""

    anchors: tuple[TrustAnchor, ...]
    intermediates: tuple[x509.Certificate, ...] = ()
    crls: RevocationLists = field(default_factory=RevocationLists)

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The anchors' certificates, the built-in CA's first."""
        return tuple(anchor.certificate for anchor in self.anchors)

    @property
    def authorities(self) -> tuple[x509.Certificate, ...]:
        """Every CA certificate that is known here: the anchors and the intermediates."""
        return (*self.certificates, *self.intermediates)


def make_trust(
    anchors: tuple[TrustAnchor, ...],
    intermediates: tuple[x509.Certificate, ...] = (),
    crls: RevocationLists | None = None,
) -> Trust:
    """Make a Trust of usable anchors.

    Raises:
        OperatorError: There is no anchor, or an anchor cannot be used.
    """
    if not anchors:
        raise OperatorError("no trust anchor: certs/ca.pem is missing and certs/trust is empty; run: telnetsd init")
    for anchor in anchors:
        problem = anchor_problem(anchor.certificate)
        if problem:
            raise OperatorError(f"not usable as a trust anchor: {anchor.source}: {problem}; remove it or reissue it")
    return Trust(anchors, intermediates, crls or RevocationLists())


def anchor_problem(certificate: x509.Certificate) -> str:
    """Return why a certificate can never be a trust anchor (RFC 5280 section 6.1.4); empty if it can."""
    return next(role_problems(certificate), "") or _key_problem(certificate.public_key())


def authority_limits(certificate: x509.Certificate) -> str:
    """Return why no path through a CA certificate can ever be valid here; empty if one can.

    Such a certificate is harmless but useless: it is refused when it is added, and `check` names it.
    """
    try:
        read_constraints(certificate)
    except UnsupportedConstraintError as error:
        return f"{error}, which are not evaluated here"
    key = certificate.public_key()
    if is_costly_key(key):
        return "its key takes too long to verify with; RSA keys have at most 8192 bits, and an exponent of 32"
    return next(authority_problems(certificate), "")


def _key_problem(key: CertificatePublicKeyTypes) -> str:
    match key:
        case rsa.RSAPublicKey() if key.key_size >= RSA_MIN_BITS:
            return ""
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, CURVES):
            return ""
        case _ if isinstance(key, MlDsaPublicKey):
            return ""
    algorithm, size = key_facts(key)
    of_size = f" of {size} bits" if size else ""
    return f"its key is {algorithm}{of_size}; RSA from 2048 bits, P-256, P-384, P-521 and ML-DSA are accepted"


def load_certificates(path: Path, shown: str) -> list[TrustAnchor]:
    """Read the CA certificates in a PEM file; `shown` is the name to show for it.

    Raises:
        OperatorError: The file cannot be read, holds no PEM certificate, or holds one that is broken.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot read {shown}: {error.strerror}; check its path and mode") from error
    with without_warnings():
        try:
            certificates = x509.load_pem_x509_certificates(content)
        except Exception as error:
            # As below: a file may come from any source, and the library may raise any exception.
            why = _one_line(error)
            raise OperatorError(f"not a PEM certificate: {shown}: {why}; remove it or convert it to PEM") from error
        for certificate in certificates:
            _require_readable(certificate, shown)
    return [TrustAnchor(certificate, shown) for certificate in certificates]


def _require_readable(certificate: x509.Certificate, shown: str) -> None:
    """Read what the library parses lazily; otherwise it would raise later, and elsewhere.

    Raises:
        OperatorError: A part cannot be read.
    """
    for part, read in _PARTS.items():
        try:
            read(certificate)
        except Exception as error:
            message = f"not a usable certificate: {shown}: its {part} cannot be read ({_one_line(error)})"
            raise OperatorError(f"{message}; remove it or ask for another one") from error


def _one_line(error: Exception) -> str:
    return escape(" ".join(str(error).split()), TEXT_MAX_CHARS)


_PARTS: Final[dict[str, Callable[[x509.Certificate], object]]] = {
    "names": lambda one: (one.subject.rfc4514_string(), one.issuer.rfc4514_string()),
    "serial number": lambda one: one.serial_number,
    "validity": lambda one: (one.not_valid_before_utc, one.not_valid_after_utc),
    "extensions": lambda one: one.extensions,
    "key": lambda one: key_facts(one.public_key()),
}
