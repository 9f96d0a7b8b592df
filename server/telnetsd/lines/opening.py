"""Opening an upstream of any kind."""

import asyncio
from collections.abc import Mapping

from telnetsd.lines.kinds.streams import reason_of
from telnetsd.lines.kinds.upstream import Upstream, UpstreamError
from telnetsd.lines.table import Line
from telnetsd.telnet.terminal import Terminal


async def open_upstream(line: Line, terminal: Terminal, environment: Mapping[str, str]) -> Upstream:
    """Open the upstream of a line.

    Args:
        line: The line.
        terminal: The terminal of the session that will write.
        environment: Environment variables that identify that session to a program.
    Raises:
        UpstreamError: The upstream cannot be reached.
    """
    try:
        async with asyncio.timeout(line.settings.connect_timeout_s):
            return await line.target.open(terminal, environment)
    except TimeoutError as error:
        raise UpstreamError(f"no answer within {line.settings.connect_timeout_s:g} s") from error
    except OSError as error:
        raise UpstreamError(reason_of(error)) from error
