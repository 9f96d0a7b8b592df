"""Keep the indexes up to date, in processes of their own: that takes long, and nothing waits for it."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from telnetsd.audit.compression import ZSTD_SUFFIX
from telnetsd.audit.retention import list_rotated
from telnetsd.files.home import Home
from telnetsd.lines.recordings.name import plain_name
from telnetsd.lines.recordings.playback import list_recordings
from telnetsd.lines.recordings.recording import is_growing
from telnetsd.programs.running import ProgramStart, start_program

_PASSED_ON: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Indexed:
    """One of the indexes.

    Attributes:
        of: What it is the index of.
        verb: The verb that makes it.
        find: Returns the names of what exists, and of what of it is complete.
        first, later: The options of the first run after a start, and those of later runs.
    """

    of: str
    verb: tuple[str, str]
    find: Callable[[Home], tuple[set[str], set[str]]]
    first: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


def _find_recordings(home: Home) -> tuple[set[str], set[str]]:
    existing = {plain_name(path.name): path for path in list_recordings(home.recordings_folder)}
    complete = set()
    for name, path in existing.items():
        try:
            if not is_growing(path):
                complete.add(name)
        except OSError:
            continue  # it was compressed or removed in the meantime; the next time shows
    return set(existing), complete


def _find_log_files(home: Home) -> tuple[set[str], set[str]]:
    existing = {path.name.removesuffix(ZSTD_SUFFIX) for path in list_rotated(home.audit_file)}
    return existing, existing


# Once after each start, the index of the recordings is examined for damage.
RECORDINGS: Final = Indexed(
    "the recordings", ("recording", "index"), _find_recordings, first=("--check",), later=("--no-check",)
)
AUDIT_LOG: Final = Indexed("the audit log", ("audit", "index"), _find_log_files)


class IndexKeeper:
    """Runs the verb that makes an index when there is something complete that it has not seen, or that is gone.

    Args:
        home: The home folder.
        kind: Which index.
    """

    def __init__(self, home: Home, kind: Indexed) -> None:
        self._home = home
        self._kind = kind
        self._indexing: asyncio.Task[None] | None = None
        self._indexed: set[str] = set()
        self._has_run = False

    async def keep_up(self) -> None:
        """See Keeper; the process goes on in the background, and ends with the server."""
        if self._indexing is not None and not self._indexing.done():
            return
        existing, complete = await asyncio.to_thread(self._kind.find, self._home)
        due, gone = complete - self._indexed, self._indexed - existing
        if due or gone:
            self._indexing = asyncio.get_running_loop().create_task(self._index(due, gone))

    async def _index(self, due: set[str], gone: set[str]) -> None:
        how = self._kind.later if self._has_run else self._kind.first
        try:
            status = await self._run("--home", str(self._home.root), *self._kind.verb, *how)
        except OSError as error:
            logger.warning("the index of %s cannot be made: %s", self._kind.of, error)
            return
        if status:
            verb = " ".join(self._kind.verb)
            logger.warning(
                "the index of %s was not made (exit status %d); run: telnetsd %s", self._kind.of, status, verb
            )
        else:
            self._has_run = True
            self._indexed = (self._indexed | due) - gone

    @staticmethod
    async def _run(*words: str) -> int:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        start = ProgramStart([sys.executable, "-P", "-m", "telnetsd", *words], environment)
        nothing = subprocess.DEVNULL
        program = start_program(start, stdin=nothing, stdout=nothing, stderr=nothing)
        await program.require_started()
        try:
            return await program.wait()
        finally:
            await program.end(signal.SIGTERM)
