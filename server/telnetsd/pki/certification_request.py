"""Certification requests (PKCS #10, RFC 2986): the server uses only the public key, after proof of possession.

Any client can send a request. The server refuses it, with a reason, if its signature does not prove possession of the
key, or if the key is weak. It also refuses a request for something that no client gets: to be a CA, or to have
another user's name.
"""

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from telnetsd.errors import PeerError
from telnetsd.events.reason import CsrReason
from telnetsd.pki.certificate import key_facts, key_sha256, without_warnings
from telnetsd.pki.facts import key_words
from telnetsd.pki.keys import SUPPORTED_KEYS, is_strong_key
from telnetsd.pki.path_reason import SIGNATURE_HASHES

CSR_MAX_BYTES: Final = 16384
PEM_BEGIN: Final = "-----BEGIN "
PEM_END: Final = "-----END "


class CsrError(PeerError):
    """A certification request is refused; `.reason` says why."""

    def __init__(self, reason: CsrReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationRequest:
    """A request whose sender has proved possession of the private key; its subject is a proposal, never a name."""

    public_key: CertificatePublicKeyTypes
    spki_sha256: str
    key_algorithm: str
    key_bits: int
    subject: str
    der: bytes


def parse_csr(data: bytes, name: str) -> CertificationRequest:
    """Read and check a request, in PEM or DER, for a user named `name`.

    Raises:
        CsrError: The request is refused.
    """
    if len(data) > CSR_MAX_BYTES:
        raise CsrError(CsrReason.TOO_LONG, f"the request is too long: at most {CSR_MAX_BYTES} bytes are accepted")
    try:
        with without_warnings():
            is_pem = data.lstrip().startswith(PEM_BEGIN.encode())
            csr = x509.load_pem_x509_csr(data) if is_pem else x509.load_der_x509_csr(data)
            key, subject, extensions = csr.public_key(), csr.subject, csr.extensions
            shown = subject.rfc4514_string()
    except Exception as error:
        # The sender chose every byte: whatever the X.509 library raises, the request cannot be read.
        raise CsrError(
            CsrReason.UNREADABLE, "the request cannot be read: it is not a certification request (PKCS #10)"
        ) from error
    _check_proof(csr)
    if not is_strong_key(key):
        shown = key_words(*key_facts(key))
        raise CsrError(
            CsrReason.WEAK_KEY, f"the request's key is too weak or not accepted ({shown}): use {SUPPORTED_KEYS}"
        )
    _check_wishes(subject, extensions, name)
    algorithm, bits = key_facts(key)
    return CertificationRequest(
        public_key=key,
        spki_sha256=key_sha256(key),
        key_algorithm=algorithm,
        key_bits=bits,
        subject=shown,
        der=csr.public_bytes(Encoding.DER),
    )


def _check_proof(csr: x509.CertificateSigningRequest) -> None:
    try:
        algorithm = csr.signature_hash_algorithm
        is_weak = algorithm is not None and not isinstance(algorithm, SIGNATURE_HASHES)
        is_proved = csr.is_signature_valid
    except Exception:  # noqa: BLE001 -- whatever the X.509 library raises, nothing is proved
        is_weak, is_proved = True, False
    if is_weak:
        raise CsrError(CsrReason.WEAK_SIGNATURE, "the request is signed with a weak hash: use SHA-256")
    if not is_proved:
        raise CsrError(
            CsrReason.BAD_SIGNATURE,
            "the request's signature does not prove that you have its private key: create a new request",
        )


def _check_wishes(subject: x509.Name, extensions: x509.Extensions, name: str) -> None:
    for extension in extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True) | x509.KeyUsage(key_cert_sign=True):
                raise CsrError(CsrReason.FOR_A_CA, "the request is for a CA certificate, which is never issued")
    wished = [attribute.value for attribute in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if wished and wished != [name]:
        raise CsrError(
            CsrReason.FOR_ANOTHER,
            f"the request names another user than {name}: omit its common name",
        )
