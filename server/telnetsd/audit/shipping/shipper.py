"""The thread of one collector: it reads what is new in the log, sends it, and remembers its position.

An unreachable collector delays nothing else: the thread retries at growing intervals, and continues where it was. A
collector that has fallen too far behind skips the oldest lines, and an event says which lines it did not get. The
position of each collector is saved to the disk about once a second. After a crash a collector may get some lines
twice, but it misses none.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from telnetsd.audit.file import open_regular
from telnetsd.audit.key import load_public_keys
from telnetsd.audit.shipping.collector import Collector, TooLongError
from telnetsd.audit.shipping.source import LogSource
from telnetsd.config.settings import ShippingSettings
from telnetsd.errors import OperatorError
from telnetsd.events.reason import ShippingReason
from telnetsd.files.atomic import make_secret_folder, write_secret
from telnetsd.files.home import Home

POLL_S: Final = 0.25
SAVE_EVERY: Final = 1000
BACKOFF_MIN_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
_PLACE_MAX_BYTES: Final = 32

ReportEvent = Callable[[ShippingReason, str, int, int], None]
"""Called from another thread for lines that a collector did not get: why, its name, the first and the last line."""

logger = logging.getLogger(__name__)


class Shipper:
    """Ships the log to one collector.

    Args:
        home: The installation.
        settings: The settings of the collector.
        collector: The connection to it.
        report: Called for lines that did not reach it.
    """

    def __init__(self, home: Home, settings: ShippingSettings, collector: Collector, report: ReportEvent) -> None:
        self._settings = settings
        self._collector = collector
        self._report = report
        self._source = LogSource(home.audit_file, 0, load_public_keys(home.audit_public_keys))
        self._place = ShippedPosition(home.shipping_folder / settings.name)
        self._source.skip_to(self._place.load(self._source.seal.sequence()))
        self._has_ended = threading.Event()
        self._is_reached = True
        self._thread = threading.Thread(target=self._run, name=f"ship-{settings.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin_to_end(self) -> None:
        """Make the thread send what is left, and end."""
        self._has_ended.set()

    def wait(self, deadline: float) -> None:
        """Wait until the thread has ended, or until a time of the monotonic clock."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            logger.warning("the collector %s has not received the last lines yet", self._settings.name)

    def _run(self) -> None:
        backoff_s, wait_s = BACKOFF_MIN_S, POLL_S
        while True:
            is_last = self._has_ended.wait(wait_s)
            try:
                self._ship()
                backoff_s, wait_s = BACKOFF_MIN_S, POLL_S
            except (OSError, OperatorError) as error:
                self._note_failure(error)
                wait_s, backoff_s = backoff_s, min(2 * backoff_s, BACKOFF_MAX_S)
            except Exception:
                logger.exception("shipping to %s failed: internal error", self._settings.name)
                wait_s = BACKOFF_MAX_S
            if is_last:
                break
        self._collector.close()
        self._source.close()
        self._save()

    def _ship(self) -> None:
        """Send the lines that are available now."""
        if self._source.seal.sequence() <= self._source.after:
            return
        self._collector.connect()
        self._skip_what_is_too_old()
        for number, (sequence, line) in enumerate(self._source.read(), 1):
            if sequence > self._source.after + 1:
                self._report(ShippingReason.MISSING, self._settings.name, self._source.after + 1, sequence - 1)
            try:
                self._collector.send(line)
            except TooLongError:
                self._report(ShippingReason.TOO_LONG, self._settings.name, sequence, sequence)
            if number % SAVE_EVERY == 0:
                self._save()
        self._save()
        if not self._is_reached:
            self._is_reached = True
            logger.warning("the collector %s is reachable again", self._settings.name)

    def _skip_what_is_too_old(self) -> None:
        after, last = self._source.after, self._source.seal.sequence() - self._settings.queue_events
        if last > after:
            self._source.skip_to(last)
            self._report(ShippingReason.TOO_FAR_BEHIND, self._settings.name, after + 1, last)

    def _note_failure(self, error: Exception) -> None:
        self._collector.close()
        self._save()
        if self._is_reached:
            self._is_reached = False
            logger.warning(
                "the collector %s (%s) is unreachable: %s; it gets the missed events when it is back",
                self._settings.name,
                self._settings.to,
                error,
            )

    def _save(self) -> None:
        # If the position cannot be saved, a restart sends some lines twice.
        with contextlib.suppress(OSError):
            self._place.save(self._source.after)


class ShippedPosition:
    """The position of a collector in the log, kept in a file.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._saved = -1

    def load(self, last: int) -> int:
        """Return the number of the last line that the collector got; `last` is the last line of the log."""
        try:
            with open_regular(self._path) as file:
                self._saved = int(file.read(_PLACE_MAX_BYTES))
        except FileNotFoundError:
            return last  # a new collector begins at the end
        except (OSError, ValueError):
            return 0
        # A log that was begun again has lower numbers.
        return max(0, min(self._saved, last))

    def save(self, sequence: int) -> None:
        """Save the number of the last line that the collector got."""
        if sequence != self._saved:
            make_secret_folder(self._path.parent)
            write_secret(self._path, f"{sequence}\n".encode())
            self._saved = sequence
