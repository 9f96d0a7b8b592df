"""Lines to a TLS port: bytes pass unchanged, to an upstream whose certificate is verified."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telnetsd.lines.kinds.kind import LineKind, TargetText, parse_host_port
from telnetsd.lines.kinds.streams import StreamUpstream, enter_of
from telnetsd.lines.kinds.upstream import READ_BYTES
from telnetsd.telnet.terminal import Terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTarget:
    """See Target; the files are PEM (None: the CAs of the system, no client certificate)."""

    host: str
    port: int
    ca: Path | None
    certificate: Path | None
    key: Path | None
    enter: bytes

    async def open(self, _terminal: Terminal, _environment: Mapping[str, str]) -> StreamUpstream:
        """See Target; the certificate must name the host, and come from a CA that the line trusts (RFC 6125)."""
        context = ssl.create_default_context(cafile=str(self.ca) if self.ca else None)
        if self.certificate is not None and self.key is not None:
            context.load_cert_chain(self.certificate, self.key)
        reader, writer = await asyncio.open_connection(
            self.host, self.port, ssl=context, server_hostname=self.host, limit=READ_BYTES
        )
        return StreamUpstream(reader, writer, self.enter)


def _parse(text: TargetText) -> TlsTarget:
    settings = text.settings
    if bool(settings.certificate) != bool(settings.key):
        raise ValueError("certificate and key must be used together")
    files = [text.root / one if one else None for one in (settings.ca, settings.certificate, settings.key)]
    for file in files:
        if file is not None and not file.is_file():
            raise ValueError(f"no file at {file}")
    ca, certificate, key = files
    host, port = parse_host_port(text)
    return TlsTarget(host=host, port=port, ca=ca, certificate=certificate, key=key, enter=enter_of(text))


KIND: Final = LineKind(
    name="tls",
    form="tls://HOST:PORT",
    summary="bytes over TLS; the upstream's certificate is verified",
    parse=_parse,
    keys=frozenset({"ca", "certificate", "key", "newline"}),
)
