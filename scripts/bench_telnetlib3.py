"""telnetlib3's own server with its defaults, over TLS with client certificates, for comparison with telnetsd."""

import asyncio
import ssl
import sys

import telnetlib3
from telnetlib3 import TelnetReader, TelnetReaderUnicode, TelnetWriter, TelnetWriterUnicode


async def shell(reader: TelnetReader | TelnetReaderUnicode, writer: TelnetWriter | TelnetWriterUnicode) -> None:
    """Greet, and answer `echo WORDS`."""
    assert isinstance(reader, TelnetReaderUnicode)  # noqa: S101 -- with an encoding it gives text
    assert isinstance(writer, TelnetWriterUnicode)  # noqa: S101
    writer.write("hello\r\n> ")
    # At the end of input, `async for` loops forever.
    while line := await reader.readline():
        writer.write(f"{str(line).strip().removeprefix('echo ')}\r\n> ")
        await writer.drain()
    writer.close()


async def main() -> None:
    """Serve until the process is stopped."""
    port, certificate, key, ca = sys.argv[1:]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_OPTIONAL
    server = await telnetlib3.create_server("127.0.0.1", int(port), shell=shell, ssl=context, connect_maxwait=0.01)
    await server.wait_closed()


asyncio.run(main())
