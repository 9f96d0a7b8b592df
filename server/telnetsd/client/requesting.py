"""One command for a script: a request, its output as it comes, and its exit status."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from telnetsd.client.connecting import Address, LostError, connect, is_telnetsd
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.own_client import Message, Output, RunRequest, SessionOver, decode_message, encode
from telnetsd.telnet.client_protocol import NvtConnection

CLOSE_S: Final = 2.0
READ_BYTES: Final = 65_536
LINE_MAX_BYTES: Final = 2**20
"""A message that is longer is not one."""
ANSWER_MAX_CHARS: Final = 2**18
ANSWERED_S: Final = 30.0
_EXIT_STATUS_MAX: Final = 255
_ERROR_MAX_CHARS: Final = 200


async def ask(address: Address, context: ssl.SSLContext, wanted: RunRequest) -> tuple[str, SessionOver]:
    """Have a command run whose output is short; return the output, and how its session ended.

    Raises:
        LostError: There is no connection, it was lost, or the server does not answer in time.
        OperatorError: The server is not the expected one, is not telnetsd, or says too much.
    """
    shown: list[str] = []

    def hear(message: Message) -> None:
        if isinstance(message, Output):
            shown.append(message.text)
            if sum(map(len, shown)) > ANSWER_MAX_CHARS:
                raise OperatorError(f"{address} says more than an answer to this can be")

    try:
        over = await asyncio.wait_for(request(address, context, wanted, hear), ANSWERED_S)
    except TimeoutError as error:
        raise LostError(f"{address} does not answer within {ANSWERED_S:.0f} s") from error
    return "".join(shown), over


async def request(
    address: Address, context: ssl.SSLContext, wanted: RunRequest, hear: Callable[[Message], None]
) -> SessionOver:
    """Have a command run, and return how its session ended.

    Args:
        address: The server.
        context: From `make_client_context`, for OwnClient.RUN.
        wanted: The command.
        hear: Called with each message as it comes, but for the last one.
    Raises:
        LostError: There is no connection, or it was lost.
        OperatorError: The server is not the expected one, or is not telnetsd.
    """
    connection = await connect(address, context)
    try:
        if not is_telnetsd(connection):
            raise OperatorError(f"{address} does not run commands: it is not telnetsd, or an older version")
        connection.write(encode(wanted) + b"\n")
        return await _listen(address, connection, hear)
    except (OSError, ssl.SSLError) as error:
        raise LostError(f"the connection to {address.host} was lost: {error}") from error
    finally:
        await connection.close(CLOSE_S)


async def _listen(address: Address, connection: NvtConnection, hear: Callable[[Message], None]) -> SessionOver:
    rest = b""
    while data := await connection.read(READ_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            try:
                message = decode_message(line)
            except ValueError as error:
                why = escape(str(error), _ERROR_MAX_CHARS)
                raise OperatorError(f"{address} sent a message that this version does not know: {why}") from error
            if isinstance(message, SessionOver):
                if not 0 <= message.exit_status <= _EXIT_STATUS_MAX:
                    raise OperatorError(f"{address} sent an exit status that is none: {message.exit_status}")
                return message
            hear(message)
        if len(rest) > LINE_MAX_BYTES:
            raise OperatorError(f"{address} sent a message that does not end")
    raise LostError(f"the connection to {address.host} was lost before the command had ended")
