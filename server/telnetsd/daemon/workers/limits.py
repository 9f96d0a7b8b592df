"""Limits that all workers share: each worker tells the others what it counts, and which sources it penalises.

Changes are gathered for a moment, so that a login does not send a message for each thing that it counts.
"""

import asyncio
import time
from collections import Counter
from typing import Final

from telnetsd.listener.admission import Admission
from telnetsd.listener.penalties import Fine, Penalties
from telnetsd.rpc.channel import Channel
from telnetsd.rpc.messages import LimitsChanged

GATHER_S: Final = 0.02


class SharedLimits:
    """A worker's part of the shared limits.

    Args:
        admission: What the worker counts.
        channel: To the supervisor.
    """

    def __init__(self, admission: Admission, channel: Channel) -> None:
        self._admission = admission
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._changes: Counter[str] = Counter()
        self._fines: list[Fine] = []
        self._is_due = False
        admission.tally.tell = self._count
        admission.penalties.tell = self._fine
        channel.hear(LimitsChanged, self._hear)

    def _count(self, key: str, change: int) -> None:
        self._changes[key] += change
        self._tell_soon()

    def _fine(self, fine: Fine) -> None:
        self._fines.append(fine)
        self._tell_soon()

    def _tell_soon(self) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_later(GATHER_S, self._tell)

    def _tell(self) -> None:
        self._is_due = False
        changes = {key: change for key, change in self._changes.items() if change}
        fines = self._fines
        self._changes, self._fines = Counter(), []
        if changes or fines:
            self._channel.tell(LimitsChanged(changes, fines))

    def _hear(self, news: LimitsChanged) -> None:
        self._admission.tally.hear(news.counts)
        self._admission.penalties.take_over(news.penalties)
        for fine in news.fines:
            self._admission.penalties.hear(fine, time.monotonic())


class LimitsHub:
    """The supervisor's part: passes on to each worker what the others report, and keeps it for new workers."""

    def __init__(self) -> None:
        self._counts: dict[Channel, Counter[str]] = {}
        self._penalties = Penalties()

    def join(self, channel: Channel) -> None:
        """Add a worker, and tell it what it has missed."""
        sum_of_all = sum(self._counts.values(), Counter())
        self._counts[channel] = Counter()
        channel.hear(LimitsChanged, lambda news: self._hear(channel, news))
        channel.tell(LimitsChanged(sum_of_all, [], list(self._penalties.all)))

    def leave(self, channel: Channel) -> None:
        """Note that a worker has ended, and subtract everything that it counted."""
        lost = self._counts.pop(channel, Counter())
        self._pass_on(channel, {key: -count for key, count in lost.items() if count}, [])

    def _hear(self, channel: Channel, news: LimitsChanged) -> None:
        counts = self._counts[channel]
        for key, change in news.counts.items():
            counts[key] += change
            if not counts[key]:
                del counts[key]
        for fine in news.fines:
            self._penalties.hear(fine, time.monotonic())
        self._pass_on(channel, news.counts, news.fines)

    def _pass_on(self, origin: Channel, changes: dict[str, int], fines: list[Fine]) -> None:
        if changes or fines:
            for channel in self._counts:
                if channel is not origin:
                    channel.tell(LimitsChanged(changes, fines))
