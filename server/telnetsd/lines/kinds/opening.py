"""Opening an upstream, whatever kind it is."""

import asyncio
import importlib.util
from collections.abc import Mapping

from telnetsd.errors import OperatorError
from telnetsd.lines.kinds.program import open_program
from telnetsd.lines.kinds.streams import open_tcp, open_tls, reason_of
from telnetsd.lines.kinds.target import ExecTarget, SerialTarget, TcpTarget, TelnetTarget, TlsTarget
from telnetsd.lines.kinds.telnet import open_telnet
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
            return await _open(line, terminal, environment)
    except TimeoutError as error:
        raise UpstreamError(f"no answer in {line.settings.connect_timeout_s:g} s") from error
    except OSError as error:
        raise UpstreamError(reason_of(error)) from error


async def _open(line: Line, terminal: Terminal, environment: Mapping[str, str]) -> Upstream:
    match line.target:
        case TcpTarget():
            return await open_tcp(line.target)
        case TlsTarget():
            return await open_tls(line.target)
        case TelnetTarget():
            return await open_telnet(line.target, terminal)
        case SerialTarget():
            from telnetsd.lines.kinds.serial import open_serial

            return open_serial(line.target)
        case ExecTarget():
            program = open_program(line.target, terminal, environment)
            await program.require_started()
            return program


def require_serial() -> None:
    """Refuse serial lines where the library for them is not installed.

    Raises:
        OperatorError: It is not.
    """
    if importlib.util.find_spec("serial_asyncio_fast") is None:
        raise OperatorError("serial lines need a library that is not installed; run: pip install 'telnetsd[serial]'")
