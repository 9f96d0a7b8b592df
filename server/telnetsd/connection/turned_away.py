"""What the log is told of connections that do not become sessions: enough, and no more, however many they are."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from telnetsd.audit.event import Action, Fields
from telnetsd.audit.reason import LimitReason
from telnetsd.audit.trail import Trail
from telnetsd.listener.admission import find_source
from telnetsd.listener.arrival import Origin
from telnetsd.listener.reason import TurnedAwayReason

INTERVAL_S: Final = 10.0
SOURCES_MAX: Final = 1000
"""How many sources of connections that were turned away are told apart in one interval; the rest count together."""
FAILURES_MAX: Final = 1000
"""How many failed handshakes are told one by one in one interval; the rest are counted."""
_EVERYBODY_ELSE: Final = ""

WORDS: Final = {
    TurnedAwayReason.TOO_MANY_CONNECTIONS: "more connections are open than [listener] max_connections allows",
    TurnedAwayReason.TOO_MANY_HANDSHAKES: "more handshakes go on than [limits] handshakes_begin allows",
    TurnedAwayReason.TOO_MANY_HANDSHAKES_FROM_SOURCE: "more handshakes of one source or network go on than may",
    TurnedAwayReason.TOO_MANY_FROM_SOURCE: "more connections come from one source than [limits] per_source allows",
    TurnedAwayReason.TOO_MANY_FROM_NETWORK: "more connections come from one network than [limits] per_network allows",
    TurnedAwayReason.PENALTY: "too many connections from this source have failed lately",
    TurnedAwayReason.NETWORK_PENALTY: "too many connections of other sources in its network have failed lately",
    TurnedAwayReason.WRONG_PROXY_HEADER: "a proxy did not say whom it speaks for",
}


@dataclass(slots=True)
class Unlogged:
    """What was refused to a source that has filled its part of the log, in one interval."""

    connections: int = 0
    commands: int = 0


class Unadmitted:
    """Tells of connections that were turned away, and of handshakes that failed.

    Of those that were turned away it tells of the first of a source at once, and of the others once an interval; of
    failed handshakes, of each as long as they are few.

    Args:
        trail: Bound to nothing.
        now: The monotonic clock, in seconds, when the first interval begins.
    """

    def __init__(self, trail: Trail, now: float) -> None:
        self._trail = trail
        self._others: dict[tuple[str, TurnedAwayReason], int] = {}
        self._unlogged: dict[str, Unlogged] = {}
        self._failures = 0
        self._more_failures: Counter[StrEnum] = Counter()
        self._flush_at = now + INTERVAL_S

    def note_turned_away(self, origin: Origin, reason: TurnedAwayReason, detail: str = "") -> None:
        """Take note of a connection that was turned away."""
        key = find_source(origin.address, ()).name, reason
        if key not in self._others and len(self._others) < SOURCES_MAX:
            self._others[key] = 0
            words = f"{WORDS[reason]} ({detail})" if detail else WORDS[reason]
            self._record_turned_away(reason, words, 1, source_fields(origin))
            return
        if key not in self._others:
            key = _EVERYBODY_ELSE, reason
        self._others[key] = self._others.get(key, 0) + 1

    def note_failed(self, origin: Origin, reason: StrEnum, message: str) -> None:
        """Take note of a handshake that failed."""
        if self._failures >= FAILURES_MAX:
            self._more_failures[reason] += 1
            return
        self._failures += 1
        self._trail.with_fields(source_fields(origin)).record(Action.HANDSHAKE_FAILED, reason, message)

    def note_unlogged(self, source: str, *, is_command: bool) -> None:
        """Take note of what was refused because a source has filled its part of the log."""
        if source not in self._unlogged and len(self._unlogged) >= SOURCES_MAX:
            source = _EVERYBODY_ELSE
        counts = self._unlogged.setdefault(source, Unlogged())
        if is_command:
            counts.commands += 1
        else:
            counts.connections += 1

    def tick(self, now: float) -> None:
        """Tell of what has gathered, when it is time; `now` is of the monotonic clock."""
        if now >= self._flush_at:
            self._flush_at = now + INTERVAL_S
            self.flush()

    def flush(self) -> None:
        """Tell of what has gathered."""
        others, self._others = self._others, {}
        for (source, reason), count in others.items():
            if count:
                words = f"{WORDS[reason]}: {count} more of them were turned away"
                fields = {"source": {"ip": source.partition("/")[0]}} if source else {}
                self._record_turned_away(reason, words, count, fields)
        unlogged, self._unlogged = self._unlogged, {}
        for source, counts in unlogged.items():
            self._record_unlogged(source, counts)
        failures, self._more_failures, self._failures = self._more_failures, Counter(), 0
        for failure, count in failures.items():
            message = f"{count} more handshakes failed in {INTERVAL_S:.0f} seconds than are told one by one"
            self._trail.record(Action.HANDSHAKE_FAILED, failure, message, telnetsd={"connections": count})

    def _record_unlogged(self, source: str, counts: "Unlogged") -> None:
        where = source.partition("/")[0]
        fields = {"source": {"ip": where}} if where else {}
        message = (
            f"{counts.connections} connections and {counts.commands} lines of guests were refused:"
            " [limits] guest_log_bytes_per_hour"
        )
        telnetsd = {"connections": counts.connections, "commands": counts.commands}
        trail = self._trail.with_fields(fields)
        trail.record(Action.GUESTS_REFUSED, LimitReason.LOG_FILLED, message, telnetsd=telnetsd)

    def _record_turned_away(self, reason: TurnedAwayReason, words: str, count: int, source: Fields) -> None:
        trail = self._trail.with_fields(source)
        trail.record(Action.CONNECTION_REFUSED, reason, words, telnetsd={"connections": count})


def source_fields(origin: Origin) -> Fields:
    """Return what the log says of where a connection comes from."""
    source: Fields = {"source": {"ip": origin.address, "port": origin.port}} if origin.address else {}
    if origin.proxy:
        source["telnetsd"] = {"proxy": {"ip": origin.proxy}}
    return source
