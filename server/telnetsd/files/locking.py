"""Waiting for a file's lock, with a timeout: the process that holds it may have been suspended."""

import fcntl
import time
from collections.abc import Callable
from typing import Final

_POLL_MIN_S: Final = 0.0005
_POLL_MAX_S: Final = 0.02


def take_lock(
    descriptor: int, timeout_s: float, *, is_shared: bool = False, is_given_up: Callable[[], bool] = lambda: False
) -> bool:
    """Take the lock of an open file (flock), and return whether this succeeded in time.

    Args:
        descriptor: The file.
        timeout_s: How long to wait, in seconds.
        is_shared: Whether other processes may hold the lock at the same time: to read.
        is_given_up: Called while waiting; True ends the wait.
    Raises:
        OSError: The file cannot be locked at all.
    """
    kind = fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX
    deadline, poll_s = time.monotonic() + timeout_s, _POLL_MIN_S
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline or is_given_up():
                return False
            time.sleep(poll_s)
            poll_s = min(2 * poll_s, _POLL_MAX_S)
        else:
            return True
