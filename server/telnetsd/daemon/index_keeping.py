"""Keep the index of the recordings up to date, in a process of its own: that takes long, and nothing waits for it."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from typing import Final

from telnetsd.files.home import Home
from telnetsd.lines.recordings.name import plain_name
from telnetsd.lines.recordings.playback import list_recordings
from telnetsd.lines.recordings.recording import is_growing
from telnetsd.programs.running import ProgramStart, start_program

_VERB: Final = "telnetsd recording index"
_PASSED_ON: Final = ("PATH", "PYTHONPATH", "LANG", "LC_ALL")

logger = logging.getLogger(__name__)


class IndexKeeper:
    """Runs `telnetsd recording index` when recordings are complete that it has not seen.

    Args:
        home: The home folder.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._indexing: asyncio.Task[None] | None = None
        self._indexed: set[str] = set()

    async def keep_up(self) -> None:
        """See Keeper; the process goes on in the background, and ends with the server."""
        if self._indexing is not None and not self._indexing.done():
            return
        due, gone = await asyncio.to_thread(self._find_due)
        if due or gone:
            self._indexing = asyncio.get_running_loop().create_task(self._index(due, gone))

    def _find_due(self) -> tuple[set[str], set[str]]:
        """Return the recordings that are to be added, and those of the index that are gone."""
        existing = {plain_name(path.name): path for path in list_recordings(self._home.recordings_folder)}
        gone = self._indexed - existing.keys()
        due = set()
        for name in existing.keys() - self._indexed:
            try:
                if not is_growing(existing[name]):
                    due.add(name)
            except OSError:
                continue  # it was compressed or removed in the meantime; the next time shows
        return due, gone

    async def _index(self, due: set[str], gone: set[str]) -> None:
        # Once after each start, the index is examined for damage.
        how = "--no-check" if self._indexed else "--check"
        try:
            status = await self._run("--home", str(self._home.root), "recording", "index", how)
        except OSError as error:
            logger.warning("the index of the recordings cannot be made: %s", error)
            return
        if status:
            logger.warning("the index of the recordings was not made (exit status %d); run: %s", status, _VERB)
        else:
            self._indexed = (self._indexed | due) - gone

    @staticmethod
    async def _run(*words: str) -> int:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        start = ProgramStart([sys.executable, "-m", "telnetsd", *words], environment)
        nothing = subprocess.DEVNULL
        program = start_program(start, stdin=nothing, stdout=nothing, stderr=nothing)
        await program.require_started()
        try:
            return await program.wait()
        finally:
            await program.end(signal.SIGTERM)
