"""What the processes of a server have in common."""

import gc
import resource
import signal
import sys
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.listener.admission import SPARE_DESCRIPTORS
from telnetsd.rpc.channel import ChannelError

GIL_SWITCH_S: Final = 0.0005
"""How long the event loop may keep another thread from the interpreter; Python's default is ten times that."""
GC_THRESHOLDS: Final = (20_000, 20, 50)


def spare_the_collector() -> None:
    """Make the garbage collector run rarely, and never on what was loaded: sessions leave few cycles behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def handle_no_signals() -> None:
    """Leave the signals that end or reload a server to its supervisor, which notifies us.

    The handler does nothing. If signals were ignored instead, the programs that we start would inherit that.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)


def raise_unrecorded(answer: object) -> None:
    """Raise the original error if another process could not record what it was asked to do.

    Raises:
        AuditUnavailableError: The answer is that error.
    """
    if isinstance(answer, ChannelError) and answer.kind == AuditUnavailableError.__name__:
        raise AuditUnavailableError(str(answer)) from answer


def make_room(connections: int) -> None:
    """Raise the limit of open files to what the connections need, as far as the system allows."""
    needed = connections + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        print(
            f"warning: the limit of {hard} open files is too low for max_connections = {connections}; more than "
            f"{max(1, hard - SPARE_DESCRIPTORS)} connections of a process are rejected; "
            f"raise it to {needed} (ulimit -n)",
            file=sys.stderr,
        )
    if soft < needed:
        wanted = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
