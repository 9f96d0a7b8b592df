"""Watching the log for the events that `[[notify]]` entries are for, and passing them on.

The log itself is read, so that what the operator's verbs do is reported as well. An event is reported after it is
sealed, and a server that starts begins with what is new. A receiver that cannot be reached delays nothing else.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from telnetsd.audit.key import load_public_keys
from telnetsd.audit.reading.row import LoggedEvent, read_event
from telnetsd.audit.shipping.source import LogSource
from telnetsd.audit.trail import Trail
from telnetsd.config.settings import NotifySettings
from telnetsd.errors import OperatorError
from telnetsd.events.of_the_server import NotificationFailed
from telnetsd.events.reason import NotifyReason
from telnetsd.files.home import Home
from telnetsd.notify.delivery import DeliveryError, Receiver
from telnetsd.notify.rules import Outbox, is_wanted

POLL_S: Final = 0.25
READ_MAX: Final = 1000
"""How many lines are read at once: the thread that reads them holds the interpreter."""
BACKOFF_MIN_S: Final = 1.0
BACKOFF_MAX_S: Final = 60.0
REFUSALS_MAX: Final = 10
"""After this many refusals in a row, an event is given up, so that it does not keep the others waiting."""
TOLD_AFTER: Final = 3
"""After this many failures in a row, the log says that a receiver is not reached."""
STOP_S: Final = 3.0
"""How long a server that stops waits for the last notifications."""

_Offer = Callable[[LoggedEvent], None]
logger = logging.getLogger(__name__)


class Notifier:
    """Passes events on to one receiver.

    Args:
        settings: The entry.
        receiver: Its program or webhook.
        trail: Bound to nothing.
    """

    def __init__(self, settings: NotifySettings, receiver: Receiver, trail: Trail) -> None:
        self._settings = settings
        self._receiver = receiver
        self._trail = trail
        self._outbox = Outbox(settings.per_hour)
        self._failures = self._refusals = 0

    def offer(self, event: LoggedEvent) -> None:
        """Keep an event, if this entry is for it."""
        if is_wanted(self._settings, event):
            self._outbox.put(event)

    async def run(self, is_over: asyncio.Event) -> None:
        """Deliver what is kept, until `is_over` is set and nothing is left that can be delivered at once."""
        backoff_s = BACKOFF_MIN_S
        while True:
            taken = self._outbox.take(asyncio.get_running_loop().time())
            if taken is None:
                if is_over.is_set():
                    return
                await _wait(is_over, POLL_S)
                continue
            error = await self._deliver(*taken)
            if error is None:
                self._note_success()
                backoff_s = BACKOFF_MIN_S
                continue
            if error.was_received and self._refusals >= REFUSALS_MAX:
                # The receiver does not take this one event: the others are not kept waiting.
                self._outbox.drop(taken[1])
                self._refusals = 0
            else:
                self._outbox.put_back(*taken, was_received=error.was_received)
            if is_over.is_set():
                return
            self._note_failure(error)
            await _wait(is_over, backoff_s * random.uniform(0.5, 1.0))  # noqa: S311 -- not for secrets
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)

    async def _deliver(self, event: LoggedEvent, held_back: int) -> DeliveryError | None:
        """Deliver an event; return why that failed."""
        try:
            await self._receiver.deliver(event, held_back)
        except DeliveryError as error:
            return error
        except Exception as error:  # noqa: BLE001 -- nothing that happens here may end the notifications
            return DeliveryError(NotifyReason.UNREACHABLE, f"an unexpected fault: {type(error).__name__}")
        return None

    def _note_failure(self, error: DeliveryError) -> None:
        self._refusals += error.was_received
        self._failures += 1
        if self._failures == TOLD_AFTER:
            name = self._settings.name
            logger.warning("notifications %s are not delivered: %s; they are tried again", name, error)
            message = f"notifications {name} are not delivered: {error}"
            self._trail.record(NotificationFailed(reason=error.reason, message=message, name=name))

    def _note_success(self) -> None:
        if self._failures >= TOLD_AFTER:
            logger.warning("notifications %s are delivered again", self._settings.name)
        self._failures = self._refusals = 0


@asynccontextmanager
async def notifying(home: Home, entries: tuple[NotifySettings, ...], trail: Trail) -> AsyncIterator[None]:
    """Pass events on to the receivers of all entries.

    Raises:
        OperatorError: A receiver cannot be used.
    """
    if not entries:
        yield
        return
    source = LogSource(home.audit_file, 0, load_public_keys(home.audit_public_keys))
    source.skip_to(source.seal.sequence())
    notifiers = [Notifier(one, Receiver(home, one), trail) for one in entries]
    loop, is_over, is_read = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    watching = loop.create_task(_watch(source, [one.offer for one in notifiers], is_over))
    running = [loop.create_task(one.run(is_read)) for one in notifiers]
    try:
        yield
    finally:
        # What was recorded last, such as that the server stops, is still sent.
        is_over.set()
        await _end([watching])
        is_read.set()
        await _end(running)
        source.close()


async def _end(tasks: "list[asyncio.Task[None]]") -> None:
    """Wait for tasks that are about to end, but not for long."""
    await asyncio.wait(tasks, timeout=STOP_S)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), timeout_s)


async def _watch(source: LogSource, offers: list[_Offer], is_over: asyncio.Event) -> None:
    """Offer each new line of the log, until `is_over` is set and what there is then has been read."""
    told = ""
    while True:
        is_last = is_over.is_set()
        try:
            lines = await asyncio.to_thread(_read, source)
        except (OSError, OperatorError) as error:
            lines = []
            if str(error) != told:
                logger.warning("the audit log cannot be read for notifications: %s", error)
            told = str(error)
        else:
            told = ""
        for event in map(read_event, lines):
            for offer in offers:
                offer(event)
        if is_last:
            return
        await _wait(is_over, POLL_S)


def _read(source: LogSource) -> list[bytes]:
    lines: list[bytes] = []
    for one in source.read():
        # A line counts as read when the next one is asked for: this one comes again.
        if len(lines) >= READ_MAX:
            break
        lines.append(one.line)
    return lines
