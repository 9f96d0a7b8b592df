"""A forker, as the supervisor sees it: forked for the first batch, a new program for later ones.

The first one is forked before there are threads, an event loop or open files that are not for it. It has what the
first process has loaded, so that a restarted server accepts connections half a second sooner. Later forkers load what
is new then.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from typing import Final, NoReturn, Protocol

import msgspec

from telnetsd.administration.authority.authorities import AskPassphrase
from telnetsd.administration.installation.generation import Generation
from telnetsd.daemon.workers.forker import STDIN, Forker
from telnetsd.daemon.workers.rlimits import handle_no_signals
from telnetsd.rpc.messages import Plan

_GO: Final = b"g"
_STANDARD_DESCRIPTORS: Final = 3

logger = logging.getLogger(__name__)


class ForkerProcess(Protocol):
    """The operations on a forker."""

    @property
    def returncode(self) -> int | None:
        """How the forker ended; None while it has not."""

    async def wait(self) -> int:
        """Wait until the forker has ended."""

    def let_go(self) -> None:
        """Make the forker start no more workers, and end with those that it has."""

    def kill(self) -> None:
        """Kill the forker at once."""


class StartedForker:
    """A forker that is a program of its own; see ForkerProcess."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def returncode(self) -> int | None:
        """See ForkerProcess."""
        return self._process.returncode

    async def wait(self) -> int:
        """See ForkerProcess."""
        return await self._process.wait()

    def let_go(self) -> None:
        """See ForkerProcess."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """See ForkerProcess."""
        self._process.kill()


class FirstForker:
    """A forker that waits until it is told to start its workers; see ForkerProcess.

    Args:
        pid: Its process.
        words: Our end of the pipe to it; when that is closed, it starts no more workers.
    """

    def __init__(self, pid: int, words: int) -> None:
        self._pid = pid
        self._words = words
        self._returncode: int | None = None

    def go(self) -> None:
        """Make the forker start its workers."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._words, _GO)

    @property
    def returncode(self) -> int | None:
        """See ForkerProcess."""
        if self._returncode is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._returncode = os.waitstatus_to_exitcode(status)
        return self._returncode

    async def wait(self) -> int:
        """See ForkerProcess."""
        loop, has_ended = asyncio.get_running_loop(), asyncio.Event()
        while (code := self.returncode) is None:
            descriptor = os.pidfd_open(self._pid)
            loop.add_reader(descriptor, has_ended.set)
            try:
                await has_ended.wait()
            finally:
                loop.remove_reader(descriptor)
                os.close(descriptor)
        return code

    def let_go(self) -> None:
        """See ForkerProcess."""
        if self._words >= 0:
            os.close(self._words)
            self._words = -1

    def kill(self) -> None:
        """See ForkerProcess."""
        if self.returncode is None:
            os.kill(self._pid, signal.SIGKILL)


async def start_forker(plan: Plan, options: tuple[str, ...]) -> StartedForker:
    """Start a forker as a program; `options` are those of `telnetsd workers`."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "telnetsd", "workers", *options),
        msgspec.json.encode(plan).decode(),
        stdin=asyncio.subprocess.PIPE,
        pass_fds=[descriptor for descriptor, _ in plan.listeners],
    )
    return StartedForker(process)


def fork_first_forker(plan: Plan, generation: Generation, ask: AskPassphrase) -> FirstForker:
    """Fork a forker that already has everything loaded; must be called before there are threads."""
    hearing, words = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_forker(plan, generation, ask, hearing)
    os.close(hearing)
    return FirstForker(pid, words)


def _be_forker(plan: Plan, generation: Generation, ask: AskPassphrase, hearing: int) -> NoReturn:
    """Run as a forker, or as its worker, and exit without the parent's clean-up, which is not ours to do."""
    code = 1
    try:
        handle_no_signals()
        os.dup2(hearing, STDIN)
        _close_all_but({descriptor for descriptor, _ in plan.listeners})
        if os.read(STDIN, len(_GO)) == _GO:
            Forker(plan, ask, generation).run()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        logger.exception("the process that starts workers ended: internal error")
    finally:
        os._exit(code)


def _close_all_but(kept: set[int]) -> None:
    before = _STANDARD_DESCRIPTORS
    for descriptor in sorted(kept):
        os.closerange(before, descriptor)
        before = descriptor + 1
    os.closerange(before, os.sysconf("SC_OPEN_MAX"))
