"""The process that starts workers: it loads once per batch, forks the workers, and replaces each one that dies.

It has one thread and no event loop, so that forking is safe. All workers are forked from the same TLS context, so
they accept each other's session tickets. All share what was loaded, until one of them reloads.
"""

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from telnetsd.administration.authority.authorities import AskPassphrase
from telnetsd.administration.installation.generation import Generation, load_generation
from telnetsd.daemon.workers.process import make_context
from telnetsd.daemon.workers.rlimits import handle_no_signals, spare_the_collector
from telnetsd.daemon.workers.worker import WorkerStart, run_worker
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home
from telnetsd.rpc.messages import Plan
from telnetsd.tls.engine import ServerContext

STDIN: Final = 0
"""The pipe from the supervisor: when it ends, the forker starts no more workers."""
SHORT_LIFE_S: Final = 1.0
DELAY_MAX_S: Final = 5.0
ORPHANED_S: Final = 3.0
"""How long workers may take to end by themselves when the supervisor has died."""

logger = logging.getLogger(__name__)


class Forker:
    """Starts workers, and replaces those that die, until its standard input ends."""

    def __init__(self, plan: Plan, ask: AskPassphrase, generation: Generation | None = None) -> None:
        self._plan = plan
        self._ask = ask
        self._parent = os.getppid()
        self._generation = generation or load_generation(Home(Path(plan.home)))
        self._context: ServerContext = make_context(self._generation)
        self._listeners = [(socket.socket(fileno=number), endpoint) for number, endpoint in plan.listeners]
        self._started_at: dict[int, float] = {}
        self._due: list[float] = []
        self._delay_s = 0.0
        self._woken, self._waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self) -> None:
        """Keep the planned number of workers running, until the server wants no more."""
        handle_no_signals()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        spare_the_collector()
        for _ in range(self._plan.count):
            self._fork()
        while self._wait():
            self._reap()
            self._replace_dead()
        self._wait_for_the_last()

    def _wait(self) -> bool:
        """Wait until there is something to do; return False if the server wants no more workers."""
        timeout = max(0.0, min(self._due) - time.monotonic()) if self._due else None
        ready, _, _ = select.select([STDIN, self._woken], [], [], timeout)
        if self._woken in ready:
            os.read(self._woken, 4096)
        return STDIN not in ready

    def _reap(self) -> None:
        """Take note of workers that have died."""
        while self._started_at:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            is_short = time.monotonic() - self._started_at.pop(pid) < SHORT_LIFE_S
            # A worker that cannot even start must not keep the machine busy.
            self._delay_s = min(2 * self._delay_s + 0.1, DELAY_MAX_S) if is_short else 0.0
            self._due.append(time.monotonic() + self._delay_s)

    def _replace_dead(self) -> None:
        """Start replacements for the workers that have died."""
        now = time.monotonic()
        due, self._due = [one for one in self._due if one <= now], [one for one in self._due if one > now]
        for _ in due:
            self._fork()

    def _fork(self) -> None:
        pid = os.fork()
        if pid == 0:
            self._become_worker()
        self._started_at[pid] = time.monotonic()

    def _become_worker(self) -> NoReturn:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in (self._woken, self._waking):
            os.close(descriptor)
        plan = self._plan
        start = WorkerStart(
            home=Home(Path(plan.home)),
            hub=Path(plan.hub),
            count=plan.count,
            batch=plan.batch,
            reloads=plan.reloads,
            listeners=self._listeners,
        )
        try:
            run_worker(start, self._generation, self._context, self._ask)
        except OperatorError as error:
            logger.error("a worker cannot start: %s", error)  # noqa: TRY400 -- an operator's mistake, no traceback
            sys.exit(1)
        except Exception:
            logger.exception("a worker ended: internal error")
            sys.exit(1)
        sys.exit(0)

    def _wait_for_the_last(self) -> None:
        """Wait for the workers to end, as the server tells them to; kill those of a server that has died."""
        # Once no worker accepts connections, no client should wait in the backlog of a listener.
        for listener, _ in self._listeners:
            listener.close()
        self._reap()
        while self._started_at:
            select.select([self._woken], [], [], ORPHANED_S)
            with contextlib.suppress(BlockingIOError):
                os.read(self._woken, 4096)
            if os.getppid() != self._parent:
                self._kill_orphans()
            self._reap()

    def _kill_orphans(self) -> None:
        for pid, started_at in self._started_at.items():
            if time.monotonic() - started_at > ORPHANED_S:
                os.kill(pid, signal.SIGKILL)


def run_forker(plan: str, ask: AskPassphrase) -> None:
    """Start the workers of a plan, which is JSON.

    Raises:
        OperatorError: Something that a server needs is missing or wrong.
    """
    Forker(msgspec.json.decode(plan, type=Plan), ask).run()
