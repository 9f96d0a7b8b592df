"""What a client presented: the bytes, and the facts that can be read from them.

Nothing here is verified. A `PeerCertificate` has no user: only `identity.identify` turns one into an Identity.
The peer chose every byte, so any accessor of the X.509 library may raise an exception.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from telnetsd.errors import PeerError
from telnetsd.pki.der import BIT_STRING, SEQUENCE, content_of, encode
from telnetsd.pki.facts import EPOCH, UNREADABLE, CertificateFacts, NameFacts

PRESENTED_MAX: Final = 8
"""The maximum number of a peer's intermediates that are examined."""
CERTIFICATE_MAX_BYTES: Final = 16_384
"""The maximum length of a certificate from a peer: each of its names becomes an object when it is parsed."""
NAMES_MAX: Final = 16
"""The maximum number of a certificate's alternative names that are kept for the log."""

TEXT_MAX_CHARS: Final = 2048
"""The maximum length that is kept of a text in a certificate: nothing needs the rest of a 90 KB name."""
SERIAL_MAX_DIGITS: Final = 80
"""Twice what RFC 5280 section 4.1.2.2 allows."""
PARSED_KEPT: Final = 64
_ATTRIBUTES: Final = {
    "common_name": NameOID.COMMON_NAME,
    "country": NameOID.COUNTRY_NAME,
    "locality": NameOID.LOCALITY_NAME,
    "organization": NameOID.ORGANIZATION_NAME,
    "organizational_unit": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "state_or_province": NameOID.STATE_OR_PROVINCE_NAME,
}


_VERSION: Final = 0xA0
"""The tag of the version in the signed part; the version comes first if it is present."""
_T = TypeVar("_T")
_E = TypeVar("_E", bound=x509.ExtensionType)


class MalformedCertificateError(PeerError):
    """The bytes are not a readable certificate (RFC 5280 section 4.1)."""


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The leaf and the intermediates as the client sent them, in DER, unverified."""

    leaf_der: bytes
    presented_der: tuple[bytes, ...] = ()

    @property
    def digest(self) -> bytes:
        """SHA-256 over everything that was presented, in order."""
        return sha256(b"".join(sha256(der).digest() for der in (self.leaf_der, *self.presented_der))).digest()

    @property
    def size(self) -> int:
        """The number of bytes that were presented."""
        return len(self.leaf_der) + sum(map(len, self.presented_der))


class _Silence:
    """Suppresses the X.509 library's warnings while any thread needs it: the filters belong to the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0
        self._filters = warnings.catch_warnings()

    def begin(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._depth += 1

    def end(self) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._filters.__exit__(None, None, None)


_silence: Final = _Silence()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Keep the X.509 library's warnings about a peer's certificate away from the operator's terminal."""
    _silence.begin()
    try:
        yield
    finally:
        _silence.end()


def parse_certificate(der: bytes) -> x509.Certificate:
    """Parse one certificate and force the parts that are parsed lazily.

    Raises:
        MalformedCertificateError: The certificate cannot be read in full, or is too long.
    """
    parsed = _parse(der)
    if isinstance(parsed, str):
        raise MalformedCertificateError(parsed)
    return parsed


@lru_cache(maxsize=PARSED_KEPT)
def _parse(der: bytes) -> x509.Certificate | str:
    """Return a certificate, or why it cannot be read; cached, because several callers examine the same peer."""
    if len(der) > CERTIFICATE_MAX_BYTES:
        return f"it has more than {CERTIFICATE_MAX_BYTES} bytes"
    try:
        with without_warnings():
            certificate = x509.load_der_x509_certificate(der)
            _ = (certificate.extensions, certificate.subject, certificate.issuer, certificate.public_key())
            _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
            _ = (certificate.version, certificate.serial_number, certificate.signature_algorithm_oid)
            _require_one_form(der, certificate.signature)
    except Exception as error:  # noqa: BLE001 -- whatever the X.509 library raises, this is not a certificate
        return str(error)
    return certificate


def _require_one_form(der: bytes, signature: bytes) -> None:
    """Refuse an outer encoding that no CA writes: it would make another certificate with the same signed content.

    The signature must be a whole number of bytes. The signature algorithm outside the signed part must be the same
    as the one inside it (RFC 5280 section 4.1.1.2).

    Raises:
        ValueError: The outer encoding is different.
    """
    signed, end = content_of(der)
    inside, signed_end = content_of(der, signed)
    place = content_of(der, inside)[1] if der[inside] == _VERSION else inside
    place = content_of(der, place)[1]  # the serial number
    algorithm = der[place : content_of(der, place)[1]]
    written = der[signed:signed_end] + algorithm + encode(BIT_STRING, b"\0" + signature)
    if end != len(der) or der != encode(SEQUENCE, written):
        raise ValueError("its outer structure is not what its CA signed")


def spki_sha256(certificate: x509.Certificate) -> str:
    """SHA-256 over the DER of SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), in lower-case hexadecimal."""
    return key_sha256(certificate.public_key())


def key_sha256(key: CertificatePublicKeyTypes) -> str:
    """SHA-256 over the SubjectPublicKeyInfo of a public key, in lower-case hexadecimal."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Tell whether a certificate names an issuer and has its signature; nothing else in either is checked."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 -- whatever the X.509 library raises, the peer's signature is not valid
        return False
    return True


def is_self_issued(certificate: x509.Certificate) -> bool:
    """Tell whether subject and issuer are the same (RFC 5280 section 3.2): a CA that certifies itself."""
    return certificate.subject == certificate.issuer


def extension_of(certificate: x509.Certificate, kind: type[_E]) -> _E | None:
    """Return an extension of a certificate; None if it has none of that kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def certificate_sha256(certificate: x509.Certificate) -> str:
    """The fingerprint of a certificate: SHA-256 over its DER, in lower-case hexadecimal."""
    return sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def describe_der(der: bytes) -> CertificateFacts:
    """Describe a certificate that may be broken; what cannot be read is `UNREADABLE`."""
    try:
        with without_warnings():
            return describe(x509.load_der_x509_certificate(der))
    except Exception:  # noqa: BLE001 -- as above
        return CertificateFacts(sha256=sha256(der).hexdigest())


def describe(certificate: x509.Certificate) -> CertificateFacts:
    """Describe what a certificate says about itself; what cannot be read is `UNREADABLE`."""
    with without_warnings():
        return _describe(certificate)


def _describe(certificate: x509.Certificate) -> CertificateFacts:
    algorithm, size = _readable(lambda: key_facts(certificate.public_key()), (UNREADABLE, 0))
    return CertificateFacts(
        sha256=certificate_sha256(certificate),
        spki_sha256=_readable(lambda: spki_sha256(certificate), ""),
        version=_readable(lambda: certificate.version.value + 1, 0),
        serial_number=_readable(lambda: f"{certificate.serial_number:X}"[:SERIAL_MAX_DIGITS], ""),
        subject=_readable(lambda: _describe_name(certificate.subject), NameFacts(UNREADABLE)),
        issuer=_readable(lambda: _describe_name(certificate.issuer), NameFacts(UNREADABLE)),
        not_before=_readable(lambda: certificate.not_valid_before_utc, EPOCH),
        not_after=_readable(lambda: certificate.not_valid_after_utc, EPOCH),
        public_key_algorithm=algorithm,
        public_key_size=size,
        signature_algorithm=_readable(lambda: _signature_name(certificate), UNREADABLE),
        alternative_names=_readable(lambda: _alternative_names(certificate), ()),
    )


def key_facts(key: CertificatePublicKeyTypes) -> tuple[str, int]:
    """Return the key's algorithm as text, and its size in bits."""
    match key:
        case rsa.RSAPublicKey() | dsa.DSAPublicKey():
            return type(key).__name__.removesuffix("PublicKey"), key.key_size
        case ec.EllipticCurvePublicKey():
            return f"EC {key.curve.name}", key.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case ed448.Ed448PublicKey():
            return "Ed448", 456
        case mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey():
            kind = type(key).__name__.removeprefix("MLDSA").removesuffix("PublicKey")
            return f"ML-DSA-{kind}", 8 * len(key.public_bytes_raw())
        case _:
            return type(key).__name__.removesuffix("PublicKey"), 0


def _readable(read: Callable[[], _T], otherwise: _T) -> _T:
    try:
        return read()
    except Exception:  # noqa: BLE001 -- as above
        return otherwise


def _describe_name(name: x509.Name) -> NameFacts:
    found = []
    left = TEXT_MAX_CHARS
    for key, oid in _ATTRIBUTES.items():
        values = _attribute_values(name, oid, left)
        left -= sum(map(len, values))
        if values:
            found.append((key, values))
    return NameFacts(name.rfc4514_string()[:TEXT_MAX_CHARS], tuple(found))


def _attribute_values(name: x509.Name, oid: x509.ObjectIdentifier, max_chars: int) -> tuple[str, ...]:
    """Return the values of one kind of attribute; at most `max_chars` characters are kept in total."""
    values: list[str] = []
    for attribute in name.get_attributes_for_oid(oid)[:NAMES_MAX]:
        text = attribute.value if isinstance(attribute.value, str) else attribute.value.hex()
        values.append(text[:max_chars])
        max_chars -= len(values[-1])
    return tuple(filter(None, values))


def _signature_name(certificate: x509.Certificate) -> str:
    # Only the library's own registry has all the names; an unknown algorithm keeps its number.
    oid = certificate.signature_algorithm_oid
    return (getattr(oid, "_name", None) or oid.dotted_string)[:TEXT_MAX_CHARS]


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(_general_name(name)[:TEXT_MAX_CHARS] for name in list(names)[:NAMES_MAX])


def _general_name(name: x509.GeneralName) -> str:
    match name:
        case x509.RFC822Name() | x509.DNSName() | x509.UniformResourceIdentifier():
            return name.value
        case x509.DirectoryName():
            return name.value.rfc4514_string()
        case _:
            return str(name.value)
