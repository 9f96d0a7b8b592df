"""The trust anchors of one generation.

A trust anchor is a CA certificate that the operator trusts to vouch for users. One that could never do that (an
algorithm that the verifier does not take, no keyCertSign, not a CA) is refused when it is loaded, in words, and not
at the first login. Pins never come near this store: they name one key and vouch for nothing. Neither do
intermediates: they only help to find a path.
"""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification

from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.pki.certificate import TEXT_MAX_CHARS, key_facts, without_warnings
from telnetsd.pki.crl import RevocationLists
from telnetsd.pki.keys import CURVES, RSA_MIN_BITS


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A CA certificate, and the file (as a person would write it) that it came from."""

    certificate: x509.Certificate
    source: str


@dataclass(frozen=True, slots=True)
class Trust:
    """Trust anchors, intermediates and CRLs as they were loaded together; a reload makes another one."""

    anchors: tuple[TrustAnchor, ...]
    store: verification.Store
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
    """Put usable anchors into a store.

    Raises:
        OperatorError: There is none, or one cannot be used.
    """
    if not anchors:
        raise OperatorError("no trust anchor: certs/ca.pem is missing and certs/trust is empty; run: telnetsd init")
    for anchor in anchors:
        problem = anchor_problem(anchor.certificate)
        if problem:
            raise OperatorError(f"not usable as a trust anchor: {anchor.source}: {problem}; remove it or reissue it")
    store = verification.Store([anchor.certificate for anchor in anchors])
    return Trust(anchors, store, intermediates, crls or RevocationLists())


def anchor_problem(certificate: x509.Certificate) -> str:
    """Say why a certificate can never be a trust anchor (RFC 5280 section 6.1.4), or return an empty string."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound as error:
        return f"it has no {getattr(error.oid, '_name', error.oid)} extension"
    except ValueError as error:
        return f"its extensions cannot be read ({escape(str(error), TEXT_MAX_CHARS)})"
    if not constraints.ca:
        return "it is not a CA certificate"
    if not usage.key_cert_sign:
        return "its keyUsage does not allow it to sign certificates"
    return _key_problem(certificate)


def _key_problem(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "its key cannot be read, or is of a kind that nobody knows"
    match key:
        case rsa.RSAPublicKey() if key.key_size >= RSA_MIN_BITS:
            return ""
        case ec.EllipticCurvePublicKey() if isinstance(key.curve, CURVES):
            return ""
    algorithm, size = key_facts(key)
    return f"its key is {algorithm} of {size} bits; RSA from 2048 bits, P-256, P-384 and P-521 are taken"


def load_certificates(path: Path, shown: str) -> list[TrustAnchor]:
    """Read the CA certificates in a PEM file; `shown` is its name as a person would write it.

    Raises:
        OperatorError: It cannot be read, or holds no certificate in PEM.
    """
    try:
        with without_warnings():
            certificates = x509.load_pem_x509_certificates(path.read_bytes())
            for certificate in certificates:
                # What is parsed lazily would raise later, and elsewhere.
                _ = (certificate.subject, certificate.issuer, certificate.serial_number)
    except OSError as error:
        raise OperatorError(f"cannot read {shown}: {error.strerror}; check its path and mode") from error
    except (ValueError, x509.InvalidVersion) as error:
        why = escape(str(error), TEXT_MAX_CHARS)
        raise OperatorError(f"not a PEM certificate: {shown}: {why}; remove it or convert it to PEM") from error
    return [TrustAnchor(certificate, shown) for certificate in certificates]
