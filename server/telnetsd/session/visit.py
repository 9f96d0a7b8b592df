"""What is known of a session before its first input, and what guests share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from telnetsd.identity.outcome import Admitted
from telnetsd.listener.arrival import Origin
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.session.pace import Pace
from telnetsd.tls.engine import TlsDetails


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What does not change while a session lasts.

    Attributes:
        id: Its UUIDv7.
        identity: The identity at the beginning.
        peer: What the client presented, unverified: for `identity` to check again, and for nothing else.
        origin: Where the client comes from, and which of the server's addresses it used.
        tls: What the handshake negotiated.
        started_at: When the session started (aware, UTC).
        cut_off_since: Since when this node of a fleet may lack changes (aware, UTC); None if it does not.
        straight_to: The only line of the session, connected at once; empty for a session with a prompt.
    """

    id: str
    identity: Admitted
    peer: PeerCertificate | None
    origin: Origin
    tls: TlsDetails
    started_at: datetime
    cut_off_since: datetime | None = None
    straight_to: str = ""


@dataclass(frozen=True, slots=True)
class GuestTerms:
    """What guests share: how fast all of them may type, and whether a source's guests may use more of the log.

    `may_log` counts what it refuses.
    """

    pace: Pace
    may_log: Callable[[], bool]
