"""Limits that all workers keep together: what each counts, and whom it penalises, is told to the others.

Changes gather for a moment, so that a login is not a message for each thing that it counts.
"""

import asyncio
import time
from collections import Counter
from typing import Any, Final

from telnetsd.listener.admission import Admission
from telnetsd.listener.penalties import Fine, Penalties, Penalty
from telnetsd.rpc.channel import Channel

NEWS: Final = "limits"
GATHER_S: Final = 0.02


class SharedLimits:
    """A worker's part.

    Args:
        admission: What it counts.
        channel: To the first process.
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
        channel.listeners[NEWS] = self._hear

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
            self._channel.tell(NEWS, [changes, fines, []])

    def _hear(self, told: Any) -> None:  # noqa: ANN401 -- what a channel carries
        changes, fines, penalties = told
        self._admission.tally.hear(changes)
        self._admission.penalties.take_over(Penalty(*one) for one in penalties)
        for fine in fines:
            self._admission.penalties.hear(Fine(*fine), time.monotonic())


class LimitsHub:
    """The first process's part: passes on to each worker what the others tell, and knows it for those to come."""

    def __init__(self) -> None:
        self._counts: dict[Channel, Counter[str]] = {}
        self._penalties = Penalties()

    def join(self, channel: Channel) -> None:
        """Take in a worker, and tell it what it has missed."""
        sum_of_all = sum(self._counts.values(), Counter())
        self._counts[channel] = Counter()
        channel.listeners[NEWS] = lambda told: self._hear(channel, told)
        channel.tell(NEWS, [sum_of_all, [], list(self._penalties.all)])

    def leave(self, channel: Channel) -> None:
        """Note that a worker has ended, and everything that it counted with it."""
        lost = self._counts.pop(channel, Counter())
        self._pass_on(channel, {key: -count for key, count in lost.items() if count}, [])

    def _hear(self, channel: Channel, told: Any) -> None:  # noqa: ANN401 -- what a channel carries
        changes, fines, _ = told
        counts = self._counts[channel]
        for key, change in changes.items():
            counts[key] += change
            if not counts[key]:
                del counts[key]
        for fine in fines:
            self._penalties.hear(Fine(*fine), time.monotonic())
        self._pass_on(channel, changes, fines)

    def _pass_on(self, origin: Channel, changes: dict[str, int], fines: list[Any]) -> None:
        if changes or fines:
            for channel in self._counts:
                if channel is not origin:
                    channel.tell(NEWS, [changes, fines, []])
