"""Connecting to a server: the TLS context, and every way in which that fails, in one line each.

The server is verified by its certificate and its name before anything is sent (RFC 6125).
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from telnetsd.errors import OperatorError
from telnetsd.own_client import OwnClient
from telnetsd.telnet.client_protocol import NvtConnection, open_nvt_connection

CONNECT_TIMEOUT_S: Final = 15.0
_PROBE_AFTER_S: Final = 15
_PROBE_EVERY_S: Final = 5
_PROBES: Final = 3
_UNANSWERED_MAX_MS: Final = 30_000

AskPassword = Callable[[], bytes]
"""Returns the password of an encrypted key; it is called only if the key is encrypted."""


class LostError(OperatorError):
    """The connection was refused or lost: trying again may help."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user presents: a certificate with its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Address:
    """A server's host, which its certificate must name, and its TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return the address as people write it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def make_client_context(
    ca: Path, credentials: Credentials | None, application: OwnClient, ask: AskPassword | None = None
) -> ssl.SSLContext:
    """Make the client's TLS context.

    Args:
        ca: The PEM file of the CA that the server's certificate must come from.
        credentials: What to present, or None for a guest.
        application: What the connection is for.
        ask: Returns the password of the key; without it, an encrypted key is an error.
    Raises:
        OperatorError: A file cannot be read, or the key does not belong to the certificate.
    """
    context = make_unverified_context(application)
    context.check_hostname, context.verify_mode = True, ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"cannot read the CA {ca}: {error}; name it with --ca FILE") from error
    if credentials is not None:
        _load_credentials(context, credentials, ask)
    return context


def make_unverified_context(application: OwnClient) -> ssl.SSLContext:
    """Make a TLS context that accepts any server: only for what is verified in another way."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([application.value])
    return context


async def connect(address: Address, context: ssl.SSLContext) -> NvtConnection:
    """Connect to a server.

    Raises:
        LostError: There is no connection.
        OperatorError: The server is not the expected one.
    """
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            connection = await open_nvt_connection(address.host, address.port, context=context)
    except ssl.SSLCertVerificationError as error:
        raise OperatorError(f"{address} is not trusted: {error.verify_message}; check --ca and HOST") from error
    except TimeoutError as error:
        raise LostError(f"no answer from {address} within {CONNECT_TIMEOUT_S:.0f} s; check the address") from error
    except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError) as error:
        raise LostError(
            f"{address} closed the connection before it identified itself: it may have rejected this address;"
            " try again in a minute, or ask its operator"
        ) from error
    except ssl.SSLError as error:
        raise LostError(f"no TLS with {address}: {error.reason}; check the port") from error
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
        raise LostError(f"cannot connect to {address}: {why}; is a server running there?") from error
    _detect_loss(connection)
    return connection


def is_telnetsd(connection: NvtConnection) -> bool:
    """Tell whether the server has agreed to be spoken to by its own client."""
    tls: ssl.SSLObject | None = connection.transport.get_extra_info("ssl_object")
    return tls is not None and tls.selected_alpn_protocol() in set(OwnClient)


def _load_credentials(context: ssl.SSLContext, credentials: Credentials, ask: AskPassword | None) -> None:
    files = f"{credentials.certificate}, {credentials.key}"

    is_asked = False

    def password() -> bytes:
        nonlocal is_asked
        is_asked = True
        if ask is None:
            raise OperatorError(f"{credentials.key} is encrypted; give its password with --password-file FILE")
        return ask()

    try:
        context.load_cert_chain(credentials.certificate, credentials.key, password)
    except (OSError, ssl.SSLError) as error:
        # OpenSSL gives no reason for a key that it could not decrypt.
        if is_asked and isinstance(error, ssl.SSLError) and not error.reason:
            raise OperatorError(f"cannot decrypt {credentials.key}: wrong password; try again") from error
        raise OperatorError(f"cannot use {files}: {error}; check both, and that they match") from error


def _detect_loss(connection: NvtConnection) -> None:
    """Let TCP find out within about half a minute that the server, or the way to it, is gone."""
    raw = connection.transport.get_extra_info("socket")
    if raw is None:
        return
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_EVERY_S)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNANSWERED_MAX_MS)
