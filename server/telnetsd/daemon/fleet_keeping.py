"""The agent of a server that is a node of a fleet: a process that is started again when it ends."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from telnetsd.files.home import Home

_RESTART_S: Final = 1.0
_RESTART_MAX_S: Final = 30.0
_END_S: Final = 5.0

logger = logging.getLogger(__name__)


@asynccontextmanager
async def fleet_agent(home: Home) -> AsyncIterator[None]:
    """Run the agent for as long as the block lasts, if the home folder is of a fleet."""
    if not home.fleet_node_certificate.exists():
        yield
        return
    keeping = asyncio.get_running_loop().create_task(_keep(home))
    try:
        yield
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def _keep(home: Home) -> None:
    wait_s = _RESTART_S
    while True:
        begun_at = asyncio.get_running_loop().time()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "telnetsd", "--home", str(home.root), "fleet", "agent"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _end(process)
            raise
        if asyncio.get_running_loop().time() - begun_at > _RESTART_MAX_S:
            wait_s = _RESTART_S
        logger.warning("the fleet's agent ended (%d); it is started again", code)
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _RESTART_MAX_S)


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_S)
    except TimeoutError:
        process.kill()
        await process.wait()
