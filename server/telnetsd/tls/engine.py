"""TLS over memory BIOs, without sockets: ciphertext in, plaintext out, and the other way round.

The engine is the OpenSSL that the `cryptography` wheel includes. The verify callback accepts every chain: TLS proves
that the client holds the private key of the certificate that it sent, and nothing more. So no value that leaves this
module names a user; the peer's certificate leaves it as bytes.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from telnetsd.errors import OperatorError, PeerError
from telnetsd.events.reason import TlsReason
from telnetsd.own_client import OwnClient
from telnetsd.pki.certificate import PRESENTED_MAX, PeerCertificate
from telnetsd.pki.keys import ClassicalPrivateKey, is_costly_key
from telnetsd.tls.client_hello import read_client_hello
from telnetsd.tls.records import RECORD_MAX_BYTES, RecordSplitter

HANDSHAKE_RECORD: Final = 22
"""The first byte of a TLS connection: the content type of the record with the ClientHello (RFC 8446 section 5.1)."""
_OUTGOING_CHUNK_BYTES: Final = 32768
ServerContext = SSL.Context
"""The TLS settings of one generation; opaque outside this package."""
_TLS_1_3: Final = SSL.TLS1_3_VERSION
_PATH_DEPTH: Final = -2
"""OpenSSL then looks for no issuer, whose signature would cost a tenth of a handshake; `pki.path` does that."""
_SESSION_ID_CONTEXT: Final = b"telnetsd"
_ACCEPT_LOOP: Final = SSL.SSL_CB_ACCEPT_LOOP
_WEB_PROTOCOLS: Final = frozenset({b"h2", b"http/1.1", b"http/1.0", b"http/0.9"})
_OWN_PROTOCOLS: Final = frozenset(one.value.encode() for one in OwnClient)
"""What browsers offer (RFC 7301): a web page must not talk to a telnet server in the name of the browser's user."""


class TlsError(PeerError):
    """The peer violated TLS; `.reason` is the audit reason, `.detail` is OpenSSL's own text (never the peer's)."""

    def __init__(self, reason: TlsReason, detail: str = "") -> None:
        super().__init__(detail or reason.value)
        self.reason = reason
        self.detail = detail


class _WebClientError(Exception):
    """The client speaks HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsDetails:
    """What was negotiated: `version` as in `1.3`, the cipher suite, the group, and whether a session was resumed.

    `application` is the ALPN protocol (RFC 7301), empty if none was agreed on.
    """

    version: str
    cipher: str
    group: str
    resumed: bool
    server_name: str
    application: str = ""


def make_server_context(
    certificates: list[x509.Certificate],
    key: ClassicalPrivateKey,
    trust_anchors: tuple[x509.Certificate, ...],
    intermediates: tuple[x509.Certificate, ...] = (),
    *,
    are_all_cas_known: bool = True,
) -> ServerContext:
    """Make the context of one generation; tickets of another generation do not work in it.

    A ticket carries only the leaf, and nothing that was sent with it. So a client that sends a CA that is not known
    here gets no ticket: it makes a full handshake, and keeps its identity. Under TLS 1.2 the server promises a ticket
    before the client sends anything, so it gives none if clients may have to send CAs.

    Args:
        certificates: The server's certificate first, then its chain.
        key: The private key of that certificate.
        trust_anchors: Their names go into the certificate request (RFC 8446 section 4.2.4).
        intermediates: CAs that clients need not send.
        are_all_cas_known: Whether these are all the CAs below the trust anchors that issued users' certificates.
    Raises:
        OperatorError: OpenSSL does not accept the certificate or the key, for instance because it is too weak.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_CIPHER_SERVER_PREFERENCE)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_cipher_list(b"ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2")
    context.set_verify_depth(_PATH_DEPTH)
    # Sessions are resumed by tickets, which every worker accepts. A session cache would only be something that a peer
    # can make grow.
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(_SESSION_ID_CONTEXT)
    try:
        context.use_certificate(certificates[0])
        context.use_privatekey(key)
        for certificate in certificates[1:]:
            context.add_extra_chain_cert(certificate)
        for anchor in trust_anchors:
            context.add_client_ca(anchor)
    except SSL.Error as error:
        why = "; ".join(reason for _, _, reason in error.args[0]) if error.args else "no reason given"
        raise OperatorError(
            f"certs/server.pem cannot be used for TLS ({why}); run: telnetsd ca renew-server"
        ) from error
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_CLIENT_ONCE, _accept_every_chain)
    context.set_alpn_select_callback(_select_protocol)
    context.set_app_data(are_all_cas_known)
    context.set_info_callback(_ticket_watcher((*trust_anchors, *intermediates)))
    return context


def _accept_every_chain(_: SSL.Connection, certificate: crypto.X509, __: int, depth: int, ___: int) -> bool:
    """Accept every certificate, except a leaf whose key would keep the server busy: that key is never used."""
    if depth > 0:
        return True
    try:
        key = certificate.get_pubkey().to_cryptography_key()
    except Exception:  # noqa: BLE001 -- what cannot be read is refused with a message, after the handshake
        return True
    return not (isinstance(key, rsa.RSAPublicKey) and is_costly_key(key))


def _select_protocol(_: SSL.Connection, offered: list[bytes]) -> Any:  # noqa: ANN401 -- no public name
    """Agree to a protocol of our own client alone; one that offers HTTP gets the alert no_application_protocol."""
    if not _WEB_PROTOCOLS.isdisjoint(offered):
        raise _WebClientError
    return next((one for one in offered if one in _OWN_PROTOCOLS), SSL.NO_OVERLAPPING_PROTOCOLS)


def _ticket_watcher(known: Iterable[x509.Certificate]) -> Callable[[SSL.Connection, int, int], None]:
    """Return a callback that denies tickets to a client that sends CAs which are not known here."""
    known_der = frozenset(one.public_bytes(Encoding.DER) for one in known)

    def watch(connection: SSL.Connection, where: int, _: int) -> None:
        if where != _ACCEPT_LOOP or connection.get_app_data() is not None:
            return
        presented = connection.get_peer_cert_chain()
        if presented:
            connection.set_app_data(presented)
            if not known_der.issuperset(map(_to_der, presented[:PRESENTED_MAX])):
                connection.set_options(SSL.OP_NO_TICKET)

    return watch


class TlsEngine:
    """One TLS connection, from the server's side."""

    __slots__ = ("_connection", "_host_name", "_records", "handshake_bytes", "peer_closed")

    def __init__(self, context: ServerContext) -> None:
        self._connection = _accepting(context)
        self._host_name = b""
        self._records = RecordSplitter()
        self.handshake_bytes = 0
        """The number of bytes from the peer that the handshake has used so far."""
        self.peer_closed = False
        """Whether the peer has sent close_notify: it will send nothing more."""

    @property
    def has_records(self) -> bool:
        """Whether whole records are waiting."""
        return self._records.has_record

    def receive(self, ciphertext: bytes) -> None:
        """Receive bytes from the network."""
        self._records.feed(ciphertext)

    def do_handshake(self) -> bool:
        """Continue the handshake with the next record; True when it is complete.

        Raises:
            TlsError: The handshake failed; the alert is waiting in `take_outgoing`.
        """
        record = self._records.take()
        if not self.handshake_bytes:
            self._bind_session(record)
        self.handshake_bytes += len(record)
        try:
            self._connection.bio_write(record)
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        except _WebClientError:
            raise TlsError(TlsReason.WEB_CLIENT) from None
        except SSL.Error as error:
            raise _tls_error(error) from None
        return True

    def _bind_session(self, record: bytes) -> None:
        """Let a TLS 1.2 session be resumed only with its own server name (RFC 6066 section 3).

        The name becomes OpenSSL's session id context. A ticket carries that context, which must be the same as the
        context of the connection that presents the ticket. Under TLS 1.3 each handshake carries its own name.
        """
        hello, context = read_client_hello(record), self._connection.get_context()
        if hello is None or not (hello.offers_tls_1_3 or context.get_app_data()):
            self._connection.set_options(SSL.OP_NO_TICKET)
        elif not hello.offers_tls_1_3:
            _set_session_id_context(context, sha256(_SESSION_ID_CONTEXT + hello.server_name).digest())
            self._connection = _accepting(context)
            # OpenSSL forgets the name of a resumed session.
            self._host_name = hello.host_name
            _set_session_id_context(context, _SESSION_ID_CONTEXT)

    @property
    def has_only_tickets_left(self) -> bool:
        """Whether the data to send after a complete handshake can wait: under TLS 1.3 it is only tickets."""
        return self._connection.get_protocol_version() == _TLS_1_3

    def read(self) -> bytes:
        """Take the next record, if there is one, and return its plaintext; empty if it carries none.

        Raises:
            TlsError: A record is invalid; the alert is waiting in `take_outgoing`.
        """
        if self.peer_closed:
            return b""
        try:
            self._connection.bio_write(self._records.take())
            return self._connection.recv(RECORD_MAX_BYTES)
        except SSL.WantReadError:
            return b""
        except SSL.ZeroReturnError:
            self.peer_closed = True
            return b""
        except SSL.Error as error:
            raise _tls_error(error) from None

    def write(self, plaintext: bytes) -> None:
        """Encrypt plaintext; the records then wait in `take_outgoing`.

        Raises:
            TlsError: The connection is broken.
        """
        try:
            self._connection.sendall(plaintext)
        except SSL.Error as error:
            raise _tls_error(error) from None

    def shut_down(self) -> None:
        """Send close_notify (RFC 8446 section 6.1), if the connection still can."""
        with contextlib.suppress(SSL.Error):
            self._connection.shutdown()

    def take_outgoing(self) -> bytes:
        """Return the data to send, and forget it."""
        outgoing = b""
        try:
            while True:
                chunk = self._connection.bio_read(_OUTGOING_CHUNK_BYTES)
                outgoing += chunk
                if len(chunk) < _OUTGOING_CHUNK_BYTES:
                    return outgoing
        except SSL.WantReadError:
            return outgoing

    def details(self) -> TlsDetails:
        """Return what was negotiated; for use after the handshake."""
        connection = self._connection
        return TlsDetails(
            version=connection.get_protocol_version_name().removeprefix("TLSv"),
            cipher=connection.get_cipher_name() or "",
            group=connection.get_group_name() or "",
            # pyOpenSSL has no public function for this.
            resumed=bool(SSL._lib.SSL_session_reused(connection._ssl)),  # type: ignore[attr-defined]  # noqa: SLF001
            server_name=(connection.get_servername() or self._host_name).decode("ascii", "replace"),
            application=connection.get_alpn_proto_negotiated().decode("ascii", "replace"),
        )

    def peer_certificate(self) -> PeerCertificate | None:
        """Return what the client presented, or None if it presented nothing; for use after the handshake."""
        leaf = self._connection.get_peer_certificate()
        if leaf is None:
            return None
        presented = self._connection.get_peer_cert_chain() or []
        return PeerCertificate(_to_der(leaf), tuple(_to_der(one) for one in presented[:PRESENTED_MAX]))


def _set_session_id_context(context: ServerContext, name: bytes) -> None:
    """Set the session id context of future connections; existing connections keep theirs."""
    # pyOpenSSL accepts no change to a context in use, and has no function to do the same for a connection. Only one
    # thread uses the context.
    SSL._lib.SSL_CTX_set_session_id_context(context._context, name, len(name))  # type: ignore[attr-defined]  # noqa: SLF001


def _accepting(context: ServerContext) -> SSL.Connection:
    connection = SSL.Connection(context, None)
    connection.set_accept_state()
    return connection


def _to_der(certificate: crypto.X509) -> bytes:
    # Through DER and not the library's parser, which rejects certificates that must be refused with a message.
    return crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)


_REASONS: Final = (
    (("alert", "certificate"), TlsReason.SERVER_CERTIFICATE_REJECTED),
    (("alert", "unknown ca"), TlsReason.SERVER_CERTIFICATE_REJECTED),
    (("alert",), TlsReason.PEER_ALERT),
    (("unsupported protocol",), TlsReason.UNSUPPORTED_VERSION),
    (("version",), TlsReason.UNSUPPORTED_VERSION),
    (("no shared",), TlsReason.NOTHING_IN_COMMON),
    (("no suitable",), TlsReason.NOTHING_IN_COMMON),
)


def _tls_error(error: SSL.Error) -> TlsError:
    errors = error.args[0] if error.args and isinstance(error.args[0], list) else []
    detail = str(errors[0][2]) if errors else type(error).__name__
    words = detail.lower()
    reason = next(
        (reason for marks, reason in _REASONS if all(mark in words for mark in marks)), TlsReason.PROTOCOL_ERROR
    )
    return TlsError(reason, detail)
