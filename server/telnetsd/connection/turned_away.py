"""Record the connections that do not become sessions: enough, and no more, however many there are."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from telnetsd.audit.trail import Trail
from telnetsd.events.context import SourcePart
from telnetsd.events.of_sessions import ConnectionRefused, GuestsRefused, HandshakeFailed
from telnetsd.events.reason import TlsReason, TurnedAwayReason
from telnetsd.listener.admission import find_source
from telnetsd.listener.arrival import Origin

INTERVAL_S: Final = 10.0
SOURCES_MAX: Final = 1000
"""How many sources of turned-away connections are counted separately in one interval; the rest count together."""
FAILURES_MAX: Final = 1000
"""How many failed handshakes are recorded one by one in one interval; the rest are counted."""
_EVERYBODY_ELSE: Final = ""


@dataclass(slots=True)
class Unlogged:
    """What was refused to a source that has used up its share of the log, in one interval."""

    connections: int = 0
    commands: int = 0


class TurnedAway:
    """Records connections that were turned away, and handshakes that failed.

    The first turned-away connection of a source is recorded at once, and the others once per interval. Failed
    handshakes are recorded one by one, as long as they are few.

    Args:
        trail: Bound to nothing.
        now: The monotonic clock, in seconds, when the first interval begins.
    """

    def __init__(self, trail: Trail, now: float) -> None:
        self._trail = trail
        self._others: dict[tuple[str, TurnedAwayReason], int] = {}
        self._unlogged: dict[str, Unlogged] = {}
        self._failures = 0
        self._more_failures: Counter[TlsReason] = Counter()
        self._flush_at = now + INTERVAL_S

    def note_turned_away(self, origin: Origin, reason: TurnedAwayReason, detail: str = "") -> None:
        """Take note of a connection that was turned away."""
        key = find_source(origin.address, ()).name, reason
        if key not in self._others and len(self._others) < SOURCES_MAX:
            self._others[key] = 0
            words = f"{reason.sentence} ({detail})" if detail else reason.sentence
            self._record_turned_away(reason, words, 1, source_of(origin))
            return
        if key not in self._others:
            key = _EVERYBODY_ELSE, reason
        self._others[key] = self._others.get(key, 0) + 1

    def note_failed(self, origin: Origin, reason: TlsReason, message: str) -> None:
        """Take note of a handshake that failed."""
        if self._failures >= FAILURES_MAX:
            self._more_failures[reason] += 1
            return
        self._failures += 1
        self._trail.bound_to(source_of(origin)).record(HandshakeFailed(reason=reason, message=message))

    def note_unlogged(self, source: str, *, is_command: bool) -> None:
        """Take note of what was refused because a source has used up its share of the log."""
        if source not in self._unlogged and len(self._unlogged) >= SOURCES_MAX:
            source = _EVERYBODY_ELSE
        counts = self._unlogged.setdefault(source, Unlogged())
        if is_command:
            counts.commands += 1
        else:
            counts.connections += 1

    def tick(self, now: float) -> None:
        """Record what has been gathered, if the interval is over; `now` is of the monotonic clock."""
        if now >= self._flush_at:
            self._flush_at = now + INTERVAL_S
            self.flush()

    def flush(self) -> None:
        """Record what has been gathered."""
        others, self._others = self._others, {}
        for (source, reason), count in others.items():
            if count:
                words = f"{reason.sentence}: {count} more such connections were rejected"
                self._record_turned_away(reason, words, count, SourcePart(ip=source.partition("/")[0] or None))
        unlogged, self._unlogged = self._unlogged, {}
        for source, counts in unlogged.items():
            self._record_unlogged(source, counts)
        failures, self._more_failures, self._failures = self._more_failures, Counter(), 0
        for failure, count in failures.items():
            message = f"{count} more handshakes failed in {INTERVAL_S:.0f} seconds than are logged one by one"
            self._trail.record(HandshakeFailed(reason=failure, message=message, connections=count))

    def _record_unlogged(self, source: str, counts: "Unlogged") -> None:
        where = source.partition("/")[0]
        message = (
            f"{counts.connections} connections and {counts.commands} lines of guests were refused:"
            " [limits] guest_log_bytes_per_hour"
        )
        event = GuestsRefused(message=message, connections=counts.connections, commands=counts.commands)
        self._trail.bound_to(SourcePart(ip=where or None)).record(event)

    def _record_turned_away(self, reason: TurnedAwayReason, words: str, count: int, source: SourcePart) -> None:
        event = ConnectionRefused(reason=reason, message=words, connections=count)
        self._trail.bound_to(source).record(event)


def source_of(origin: Origin) -> SourcePart:
    """Return the source of a connection, as the log shows it."""
    has_address = bool(origin.address)
    return SourcePart(
        ip=origin.address or None, port=origin.port if has_address else None, proxy_ip=origin.proxy or None
    )
