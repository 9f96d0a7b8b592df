"""Getting a certificate from a server: a key is made here and stays here, and the operator decides."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from telnetsd.client.connecting import Address, LostError
from telnetsd.client.profile import Pending
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.events.reason import EnrolmentReason
from telnetsd.own_client import RunRequest, SessionOver
from telnetsd.pki.certificate import key_sha256

POLL_MIN_S: Final = 3.0
POLL_MAX_S: Final = 60.0
_TEXT_MAX_CHARS: Final = 300
_REQUEST: Final = re.compile(r"^request +([a-z2-7]{4,64})$", re.MULTILINE)
_CODE: Final = re.compile(r"^code +([a-z2-7-]{8,128})$", re.MULTILINE)

_FINAL: Final = frozenset(
    {
        EnrolmentReason.DENIED,
        EnrolmentReason.NO_REQUEST,
        EnrolmentReason.NOTHING_TO_COLLECT,
        EnrolmentReason.WRONG_CODE,
    }
)
"""The answers after which a request will never be granted."""

Ask = Callable[[RunRequest], tuple[str, SessionOver]]
"""Has the server run a command; returns what it shows, and how that ended."""


class DecidedError(OperatorError):
    """The server, or its operator, has decided against a request: waiting any longer makes no sense."""


def make_key(password: bytes | None) -> bytes:
    """Return a new private key (P-256) in PEM, encrypted if there is a password."""
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


def key_fingerprint(key: bytes, password: bytes | None) -> str:
    """Return the SHA-256 of a private key's public key (SPKI), in lower-case hexadecimal."""
    return key_sha256(load_pem_private_key(key, password).public_key())  # type: ignore[arg-type]


def make_request(key: bytes, password: bytes | None, name: str) -> list[str]:
    """Return the lines of a certification request (RFC 2986) for a name, in PEM; for none if it is empty."""
    private = load_pem_private_key(key, password)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    built = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise OperatorError("the stored key is of another kind than those that are made here; use: telnetsd enroll")
    return built.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM).decode().splitlines()


def authorities_of(ask: Ask, address: Address) -> tuple[x509.Certificate, ...]:
    """Return the CA certificates that a server says are its own: nothing has verified them yet.

    Raises:
        OperatorError: It has none.
    """
    shown, over = ask(RunRequest("ca"))
    if over.exit_status or not over.is_by_user:
        raise OperatorError(f"{address.host} does not show its CA: {_words(shown, over)}; name its file with --ca")
    try:
        return tuple(_certificates_in(shown))
    except ValueError as error:
        raise OperatorError(f"{address.host} showed no readable CA; name its file with --ca") from error


def file_request(ask: Ask, line: str, request: list[str]) -> Pending | bytes:
    """Make a request; return what to wait with, or the certificates in PEM if no decision is needed.

    Raises:
        DecidedError: The server refuses the request.
        OperatorError: It could not be made.
    """
    shown, over = ask(RunRequest(line, request))
    if over.reason == EnrolmentReason.ALREADY_REQUESTED:
        return Pending("", "")
    if not over.is_by_user:
        raise OperatorError(f"the request could not be made: {_words(shown, over)}")
    if over.exit_status:
        raise DecidedError(f"the request was refused: {_words(shown, over)}")
    request_id, code = _REQUEST.search(shown), _CODE.search(shown)
    if request_id is None or code is None:
        return granted_in(shown)
    return Pending(request_id[1], code[1])


def wait_granted(ask: Ask, pending: Pending, sleep: Callable[[float], None] = time.sleep) -> bytes:
    """Return the certificate with its chain, in PEM, once the operator has granted it.

    A server that cannot be reached meanwhile, or has no time, is asked again.

    Raises:
        DecidedError: The operator has denied it, or the request is gone.
        OperatorError: The server is not the expected one.
    """
    answers = [pending.code] if pending.code else []
    for wait_s in _intervals():
        with suppress(LostError):
            shown, over = ask(RunRequest(f"collect {pending.request_id}".rstrip(), answers))
            if not over.exit_status and over.is_by_user:
                return granted_in(shown)
            if over.reason in _FINAL:
                raise DecidedError(f"nothing to collect: {_words(shown, over)}")
        sleep(wait_s)
    raise AssertionError("the intervals do not end")


def granted_in(shown: str) -> bytes:
    """Return the certificates in what a server has shown, in PEM and nothing else.

    Raises:
        OperatorError: There is none that can be read.
    """
    try:
        return b"".join(one.public_bytes(Encoding.PEM) for one in _certificates_in(shown))
    except ValueError as error:
        raise OperatorError(f"the server sent no certificate: {escape(shown, _TEXT_MAX_CHARS)}") from error


def require_own(certificates: bytes, key: bytes, password: bytes | None) -> x509.Certificate:
    """Return the first of some certificates, which has to be for a key.

    Raises:
        OperatorError: It is for another key: storing it would replace an identity that works.
    """
    leaf = x509.load_pem_x509_certificates(certificates)[0]
    if key_sha256(leaf.public_key()) != key_fingerprint(key, password):
        raise OperatorError("the server sent a certificate for another key; nothing was stored; tell the operator")
    return leaf


def _certificates_in(shown: str) -> list[x509.Certificate]:
    """Return certificates that can be read in full.

    Raises:
        ValueError: There is none, or one cannot be read.
    """
    begin = shown.find("-----BEGIN CERTIFICATE-----")
    found = x509.load_pem_x509_certificates(shown[begin:].encode() if begin >= 0 else b"")
    for one in found:
        one.subject.rfc4514_string()  # it is parsed only now
    return found


def _intervals() -> Iterator[float]:
    wait_s = POLL_MIN_S
    while True:
        yield wait_s
        wait_s = min(wait_s * 1.5, POLL_MAX_S)


def _words(shown: str, over: SessionOver) -> str:
    said = shown.strip().splitlines()
    return escape(over.sentence or (said[-1] if said else over.reason), _TEXT_MAX_CHARS)
