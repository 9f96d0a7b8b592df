"""Opening an upstream, whatever kind it is."""

import asyncio
from collections.abc import Mapping

from telnetsd.lines.kinds.streams import reason_of
from telnetsd.lines.kinds.upstream import Upstream, UpstreamError
from telnetsd.lines.table import Line
from telnetsd.telnet.terminal import Terminal


async def open_upstream(line: Line, terminal: Terminal, environment: Mapping[str, str]) -> Upstream:
    """Open where a line leads.

    Args:
        line: The line.
        terminal: The terminal of whoever is going to write.
        environment: What a program is told of who that is.
    Raises:
        UpstreamError: It cannot be reached.
    """
    try:
        async with asyncio.timeout(line.settings.connect_timeout_s):
            return await line.target.open(terminal, environment)
    except TimeoutError as error:
        raise UpstreamError(f"no answer in {line.settings.connect_timeout_s:g} s") from error
    except OSError as error:
        raise UpstreamError(reason_of(error)) from error
