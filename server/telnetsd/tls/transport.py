"""An asyncio transport that speaks TLS: between the raw TCP transport and the protocol of the application.

To the event loop it is the protocol of the raw connection; to the application it is a transport. It handles the raw
bytes from the first one. It guarantees:

- a plain-text client reads one plain line, and no TLS bytes;
- at most one record is passed on in a turn of the event loop, so that a flood from one peer leaves room for others;
- what is written in one turn is sent together, so that many small answers are one record;
- closing sends close_notify, closes the sending side, and continues to read (and drop) what the peer still sends:
  otherwise the kernel would answer that with a reset, and the last message would be lost;
- `connection_lost` reaches the application once, when it can no longer write.
"""

import asyncio
from enum import Enum, auto
from typing import Any, Final, Protocol, cast

from telnetsd.config.settings import TlsSettings
from telnetsd.events.reason import TlsReason
from telnetsd.incoming import IncomingProtocol
from telnetsd.tls.engine import HANDSHAKE_RECORD, ServerContext, TlsEngine, TlsError
from telnetsd.tls.farewell import Farewell

PLAIN_TEXT_ANSWER: Final = (
    b"this is a TLS port: connect with a TLS client, as in: openssl s_client -connect HOST:PORT\r\n"
)
COALESCE_MAX_BYTES: Final = 16384
"""Written data is sent at the end of the turn, or at once if it is more than this."""
HANDSHAKE_RECORDS_PER_TURN: Final = 8


class TlsEvents(Protocol):
    """The events that a transport reports to the one object that its connection belongs to."""

    def established(self, transport: "TlsTransport") -> asyncio.Protocol:
        """Handle a complete handshake; return the application's protocol."""

    def failed(self, error: TlsError) -> None:
        """Handle a failed handshake; `error` says why."""

    def lost(self, transport: "TlsTransport") -> None:
        """Handle the loss of the raw connection, whatever happened before."""


class _State(Enum):
    NEW = auto()
    HANDSHAKE = auto()
    OPEN = auto()
    LINGERING = auto()
    CLOSED = auto()


class _Cancellable(Protocol):
    def cancel(self) -> None: ...


class _NoTimer:
    """Takes the place of a timer that was cancelled: the timer itself is not kept for as long as the connection."""

    def cancel(self) -> None:
        """Do nothing."""


_NO_TIMER: Final = _NoTimer()


class TlsConnection(IncomingProtocol):
    """One TLS connection as the event loop sees it: the protocol of the raw connection.

    Args:
        context: The TLS context of the current generation.
        events: The object that the connection belongs to.
        settings: How long the handshake may take, and how much the peer may send during it.
    """

    def __init__(self, context: ServerContext, events: TlsEvents, settings: TlsSettings) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._engine = TlsEngine(context)
        self._events = events
        self._settings = settings
        self._raw: asyncio.Transport
        self._farewell: Farewell
        self._protocol: asyncio.Protocol = asyncio.Protocol()
        self._state = _State.NEW
        self._timer: _Cancellable = _NO_TIMER
        self._has_heard = False
        self._reading_paused = False
        self._raw_reading_paused = False
        self._raw_eof = False
        self._eof_told = False
        self._loss_told = False
        self._is_advancing_soon = False
        self._is_aborted = False

    def established(self) -> asyncio.Protocol:
        """Report that the handshake is complete, and return the application's protocol, connected."""
        raise NotImplementedError

    def tell_lost(self) -> None:
        """Report that the raw connection is lost."""
        raise NotImplementedError

    def close(self) -> None:
        """Send close_notify, let everything written so far reach the peer, and close."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake timer."""
        self._raw = cast("asyncio.Transport", transport)
        self._farewell = Farewell(self._raw)
        self._state = _State.HANDSHAKE
        self._timer = self._loop.call_later(self._settings.handshake_timeout_s, self._give_up_handshake)
        if self._is_aborted:
            self._raw.abort()

    def data_received(self, data: bytes) -> None:
        """Receive ciphertext."""
        if self._state is _State.LINGERING or self._state is _State.CLOSED:
            self._farewell.drop(len(data))
            return
        if not self._has_heard:
            self._has_heard = True
            if data[0] != HANDSHAKE_RECORD:
                self._fail(TlsError(TlsReason.PLAIN_TEXT), PLAIN_TEXT_ANSWER)
                return
        self._engine.receive(data)
        self._advance()

    def eof_received(self) -> bool:
        """Handle the peer closing its side, with or without close_notify, and keep ours open to answer."""
        self._raw_eof = True
        if self._state is _State.HANDSHAKE:
            self._fail(TlsError(TlsReason.CONNECTION_CLOSED))
            return False
        if self._state is _State.OPEN:
            self._advance()
            return True
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the loss of the raw connection."""
        self._timer.cancel()
        self._farewell.end()
        if self._state is _State.HANDSHAKE:
            self._events.failed(TlsError(TlsReason.CONNECTION_CLOSED))
        self._state = _State.CLOSED
        self._tell_loss(exc)
        self.tell_lost()

    def _advance_soon(self) -> None:
        """Continue in the next turn of the event loop, once, however often this is called."""
        if not self._is_advancing_soon:
            self._is_advancing_soon = True
            self._loop.call_soon(self._advance_now)

    def _advance_now(self) -> None:
        self._is_advancing_soon = False
        self._advance()

    def _advance(self) -> None:
        try:
            if self._state is _State.HANDSHAKE and not self._shake_hands():
                return
            if self._state is _State.OPEN:
                self._hand_on()
        except TlsError as error:
            self._fail(error)

    def _shake_hands(self) -> bool:
        is_complete = False
        for _ in range(HANDSHAKE_RECORDS_PER_TURN):
            if is_complete or not self._engine.has_records:
                break
            is_complete = self._engine.do_handshake()
            if self._engine.handshake_bytes > self._settings.handshake_max_bytes:
                raise TlsError(TlsReason.TOO_LONG)
        if not (is_complete and self._engine.has_only_tickets_left):
            # Tickets are useless before the application has written, and are sent with its first output.
            self._flush()
        if is_complete:
            self._timer.cancel()
            self._timer = _NO_TIMER
            self._state = _State.OPEN
            self._protocol = self.established()
        else:
            if self._engine.has_records:
                self._advance_soon()
            self._steer_raw_reading()
        return is_complete

    def _hand_on(self) -> None:
        if not self._reading_paused:
            if self._engine.has_records:
                plaintext = self._engine.read()
                if plaintext:
                    self._protocol.data_received(plaintext)
                else:
                    # OpenSSL may have answered a record without text, for instance a key update.
                    self._flush()
            if self._engine.has_records and not self._engine.peer_closed:
                self._advance_soon()
            elif self._engine.peer_closed or self._raw_eof:
                self._tell_eof()
        self._steer_raw_reading()

    def _steer_raw_reading(self) -> None:
        """Read ciphertext only when what came before it has been passed on, or used by the handshake."""
        if self._state not in {_State.HANDSHAKE, _State.OPEN}:
            return
        should_pause = self._reading_paused or self._engine.has_records
        if should_pause and not self._raw_reading_paused:
            self._raw.pause_reading()
        elif self._raw_reading_paused and not should_pause:
            self._raw.resume_reading()
        self._raw_reading_paused = should_pause

    def _tell_eof(self) -> None:
        if not self._eof_told:
            self._eof_told = True
            if not self._protocol.eof_received():
                self.close()

    def _tell_loss(self, exc: Exception | None) -> None:
        if not self._loss_told:
            self._loss_told = True
            self._protocol.connection_lost(exc)

    def _flush(self) -> None:
        outgoing = self._engine.take_outgoing()
        if outgoing:
            self._raw.write(outgoing)

    def _give_up_handshake(self) -> None:
        if self._has_heard:
            self._fail(TlsError(TlsReason.TIMEOUT))
        else:
            # A client that waits for the server to speak first: a user with a plain telnet client.
            self._fail(TlsError(TlsReason.TIMEOUT), PLAIN_TEXT_ANSWER)

    def _fail(self, error: TlsError, answer: bytes = b"") -> None:
        """End the connection; `answer` is a last message in plain text."""
        was_handshake = self._state is _State.HANDSHAKE
        if answer:
            self._raw.write(answer)
        self._flush()
        self._linger(error)
        if was_handshake:
            self._events.failed(error)

    def _linger(self, error: TlsError | None) -> None:
        """Send nothing more, and wait for the peer to close, so that it can read what was sent."""
        self._state = _State.LINGERING
        self._timer.cancel()
        self._loop.call_soon(self._tell_loss, error)
        self._farewell.begin(has_peer_closed=self._raw_eof, is_reading_paused=self._raw_reading_paused)


class TlsTransport(TlsConnection, asyncio.Transport):
    """The same connection as the application sees it: the server's end of TLS; see TlsConnection."""

    def __init__(self, context: ServerContext, events: TlsEvents, settings: TlsSettings) -> None:
        super().__init__(context, events, settings)
        self._unsent = bytearray()

    def established(self) -> asyncio.Protocol:
        """See TlsConnection."""
        protocol = self._events.established(self)
        # The protocol must know its transport before anything is passed on.
        self._protocol = protocol
        protocol.connection_made(self)
        return protocol

    def tell_lost(self) -> None:
        """See TlsConnection."""
        self._events.lost(self)

    def pause_writing(self) -> None:
        """Notify the protocol that the peer reads more slowly than we write."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Notify the protocol that the peer has read."""
        self._protocol.resume_writing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send data; after closing, discard it."""
        if self._state is not _State.OPEN or not data:
            return
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent += data
        if len(self._unsent) > COALESCE_MAX_BYTES:
            self._send()

    def close(self) -> None:
        """See TlsConnection."""
        if self._state is _State.HANDSHAKE:
            self.abort()
        elif self._state is _State.OPEN:
            self._send()
        if self._state is _State.OPEN:
            self._engine.shut_down()
            self._flush()
            self._linger(None)

    def abort(self) -> None:
        """Close at once; unsent data is lost."""
        if self._state is _State.NEW:
            # The event loop has made this transport and not yet connected it: connection_made aborts it.
            self._is_aborted = True
        else:
            self._raw.abort()

    def is_closing(self) -> bool:
        """Return whether writing no longer has an effect."""
        # Called for each packet: a set of states would be made, and hashed, each time.
        return self._state is _State.LINGERING or self._state is _State.CLOSED

    def pause_reading(self) -> None:
        """Stop passing on plaintext, and soon stop reading ciphertext."""
        self._reading_paused = True
        self._steer_raw_reading()

    def resume_reading(self) -> None:
        """Pass on plaintext again."""
        if self._reading_paused:
            self._reading_paused = False
            self._advance_soon()

    def is_reading(self) -> bool:
        """Return whether plaintext is passed on."""
        return not self._reading_paused and self._state is _State.OPEN

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Pass plaintext to another protocol from now on."""
        self._protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the application's protocol."""
        return self._protocol

    def can_write_eof(self) -> bool:
        """Return False: closing only one side is not supported."""
        return False

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are waiting to be sent."""
        return len(self._unsent) + self._raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and the high mark of the write buffer, in bytes."""
        return self._raw.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when `pause_writing` and `resume_writing` are called, in bytes of ciphertext."""
        self._raw.set_write_buffer_limits(high, low)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 -- asyncio's signature
        """Return `tls` (TlsDetails), `peer_certificate` (or None), `has_ended_input` (bool), or what TCP knows."""
        match name:
            case "has_ended_input":
                return self._engine.peer_closed
            case "tls":
                return self._engine.details()
            case "peer_certificate":
                return self._engine.peer_certificate()
            case "ssl_object":
                # telnetlib3 reads this to learn that the connection is encrypted, and then refuses MCCP.
                return self._engine
        return self._raw.get_extra_info(name, default)

    def _send(self) -> None:
        """Encrypt and send what was written in this turn."""
        if self._state is not _State.OPEN or not self._unsent:
            return
        plaintext, self._unsent = bytes(self._unsent), bytearray()
        try:
            self._engine.write(plaintext)
        except TlsError as error:
            self._fail(error)
        else:
            self._flush()
