"""Admission: limits on connections, handshakes and sources, checked before a byte of a connection is read.

A source is an IPv4 address, or the /64 of an IPv6 address, which is what a single customer gets. A network is the /24
or the /48 around it.
"""

import ipaddress
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from telnetsd.config.settings import LimitSettings
from telnetsd.events.reason import TurnedAwayReason
from telnetsd.listener.penalties import Fine, Penalties
from telnetsd.listener.tally import Tally

IPV4_NETWORK_BITS: Final = 24
IPV6_SOURCE_BITS: Final = 64
IPV6_NETWORK_BITS: Final = 48
SPARE_DESCRIPTORS: Final = 64
"""The number of descriptors that a process needs besides those of its connections."""
_HOUR_S: Final = 3600.0
_LOG_LONGEST_S: Final = 3660.0
_LOG: Final = "log of "
_OPEN: Final = "connections"
_STARTING: Final = "handshakes"
NETWORK_PENALTY_FACTOR: Final = 8
"""The number of penalised sources whose penalties, added up, block their whole network."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The current limits: `[limits]`, and the maximum number of connections, in total and in this process.

    A process that runs out of descriptors could not even turn a client away.
    """

    limits: LimitSettings
    connections_max: int
    here_max: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where a connection comes from, as it is counted; `is_exempt` means exempt from the limits per source."""

    name: str
    network: str
    is_exempt: bool

    @property
    def keys(self) -> tuple[str, str]:
        """The keys under which its connections are counted."""
        return f"source {self.name}", f"network {self.network}"

    @property
    def starting_keys(self) -> tuple[str, str]:
        """The keys under which its handshakes are counted."""
        return f"handshakes of source {self.name}", f"handshakes of network {self.network}"


@dataclass(slots=True)
class Slot:
    """What one connection uses, released when it is lost; its session is counted under `session_keys`."""

    source: Source
    is_starting: bool = True
    is_left: bool = False
    session_keys: tuple[str, ...] = ()


class Admission:
    """The limits of one process, which it shares with the other processes of the server.

    Args:
        terms: The current limits.
        now: The monotonic clock.
        chance: Returns a random number from 0 up to 1.
    """

    def __init__(
        self, terms: Terms, *, now: Callable[[], float] = time.monotonic, chance: Callable[[], float] = random.random
    ) -> None:
        self._terms = terms
        self._now = now
        self._chance = chance
        self.tally = Tally()
        self.penalties = Penalties()

    def adopt(self, terms: Terms) -> None:
        """Continue with other terms; existing connections stay."""
        self._terms = terms

    def admit(self, address: str) -> Slot | TurnedAwayReason:
        """Return a slot for a connection from an address, or the reason why there is none.

        Args:
            address: An IPv4 or IPv6 address; anything else, such as that of a Unix socket, is an exempt source.
        """
        source = find_source(address, self._terms.limits.exempt)
        why_not = self._why_not(source)
        if why_not is not None:
            return why_not
        for key in (_OPEN, _STARTING, *source.keys, *source.starting_keys):
            self.tally.add(key)
        return Slot(source)

    def establish(self, slot: Slot) -> None:
        """Record that a handshake is over, whether it succeeded or not."""
        if slot.is_starting:
            slot.is_starting = False
            for key in (_STARTING, *slot.source.starting_keys):
                self.tally.remove(key)

    def take_session(self, slot: Slot, user: str, *, is_guest: bool) -> bool:
        """Give a session its slot; False if the user, or guests, already have the maximum number of sessions."""
        if slot.is_left:
            return True  # its connection is gone: there is nothing to count, and no client to notify
        limits = self._terms.limits
        most = {f"user {user}": limits.guests if is_guest else limits.sessions_per_user}
        if is_guest and not slot.source.is_exempt:
            most[f"guests of source {slot.source.name}"] = limits.guests_per_source
        if any(self.tally[key] >= limit for key, limit in most.items()):
            return False
        slot.session_keys = tuple(most)
        for key in slot.session_keys:
            self.tally.add(key)
        return True

    def leave(self, slot: Slot) -> None:
        """Release what a connection uses."""
        if slot.is_left:
            return
        slot.is_left = True
        self.establish(slot)
        for key in (_OPEN, *slot.source.keys, *slot.session_keys):
            self.tally.remove(key)

    def penalise(self, source: Source, seconds: float) -> None:
        """Add to a source's penalty for a failure.

        However often a source fails, it adds to the penalty of its network no more than its own threshold. So several
        sources must fail before their neighbours are blocked.
        """
        limits = self._terms.limits
        if not source.is_exempt and seconds > 0:
            terms = limits.penalty_threshold_s, limits.penalty_max_s
            self._impose(Fine(source.name, seconds, *terms), source.network)

    def charge_log(self, source: Source, size: int) -> None:
        """Record that guests or refused clients of a source have filled `size` bytes of the log."""
        if not source.is_exempt:
            seconds = _HOUR_S * size / self._terms.limits.guest_log_bytes_per_hour
            self._impose(Fine(_LOG + source.name, seconds, _HOUR_S, _LOG_LONGEST_S), _LOG + source.network)

    def may_log(self, source: Source) -> bool:
        """Tell whether guests and refused clients of a source may fill more of the log; a refusal lasts an hour."""
        now = self._now()
        keys = _LOG + source.name, _LOG + source.network
        return source.is_exempt or not any(self.penalties.is_in_force(key, now) for key in keys)

    def _impose(self, fine: Fine, network: str) -> None:
        """Fine a source, and fine its network by as much as the source's penalty has grown below its threshold."""
        now = self._now()
        grown_s = self.penalties.impose(fine, now)
        if grown_s > 0:
            of_network_s = NETWORK_PENALTY_FACTOR * fine.threshold_s
            longest_s = max(fine.longest_s, of_network_s)
            self.penalties.impose(Fine(network, grown_s, of_network_s, longest_s), now)

    def _why_not(self, source: Source) -> TurnedAwayReason | None:
        terms = self._terms
        if self.tally[_OPEN] >= terms.connections_max or self.tally.here.get(_OPEN, 0) >= terms.here_max:
            return TurnedAwayReason.TOO_MANY_CONNECTIONS
        if not source.is_exempt:
            why_not = self._why_not_from(source)
            if why_not is not None:
                return why_not
        if self._is_too_busy():
            return TurnedAwayReason.TOO_MANY_HANDSHAKES
        return None

    def _why_not_from(self, source: Source) -> TurnedAwayReason | None:
        limits, now = self._terms.limits, self._now()
        if self.penalties.is_in_force(source.name, now):
            return TurnedAwayReason.PENALTY
        if self.penalties.is_in_force(source.network, now):
            return TurnedAwayReason.NETWORK_PENALTY
        of_source, of_network = (self.tally[key] for key in source.keys)
        if of_source >= limits.per_source:
            return TurnedAwayReason.TOO_MANY_FROM_SOURCE
        if of_network >= limits.per_network:
            return TurnedAwayReason.TOO_MANY_FROM_NETWORK
        of_source, of_network = (self.tally[key] for key in source.starting_keys)
        if of_source >= limits.handshakes_per_source or of_network >= limits.handshakes_per_network:
            return TurnedAwayReason.TOO_MANY_HANDSHAKES_FROM_SOURCE
        return None

    def _is_too_busy(self) -> bool:
        """Tell whether to turn a client away because of the current handshakes: at random at first, then always.

        The chance grows from `handshakes_refused` percent at `handshakes_begin` to 100 percent at `handshakes_full`.
        """
        limits, starting = self._terms.limits, self.tally[_STARTING]
        if starting < limits.handshakes_begin:
            return False
        if starting >= limits.handshakes_full:
            return True
        first = limits.handshakes_refused / 100
        part = (starting - limits.handshakes_begin) / (limits.handshakes_full - limits.handshakes_begin)
        return self._chance() < first + (1 - first) * part


@lru_cache(maxsize=4096)
def find_source(address: str, exempt: tuple[str, ...]) -> Source:
    """Return how an address is counted.

    Args:
        address: The address as the socket gives it.
        exempt: Networks whose sources have no limits of their own.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return Source(address, address, is_exempt=True)
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    is_exempt = any(found in ipaddress.ip_network(one) for one in exempt)
    if isinstance(found, ipaddress.IPv4Address):
        return Source(str(found), str(_around(found, IPV4_NETWORK_BITS)), is_exempt)
    source, network = (_around(found, bits) for bits in (IPV6_SOURCE_BITS, IPV6_NETWORK_BITS))
    return Source(str(source), str(network), is_exempt)


def network_of(source: str) -> str:
    """Return the network around a source, by the name of the source; empty if the name is not an address."""
    try:
        found = ipaddress.ip_network(source)
    except ValueError:
        return ""
    bits = IPV4_NETWORK_BITS if isinstance(found, ipaddress.IPv4Network) else IPV6_NETWORK_BITS
    return str(_around(found.network_address, bits))


def _around(address: ipaddress.IPv4Address | ipaddress.IPv6Address, bits: int) -> object:
    return ipaddress.ip_network((address, bits), strict=False)
