"""Delivering one notification: to a program's standard input, or to an HTTPS webhook.

A webhook's address may have a secret in it, so it is in no message and no event. Redirects are not followed: they
would send the content somewhere else. Of an answer, only its status counts.
"""

import asyncio
import hashlib
import hmac
import os
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse
from typing import IO, Final

import msgspec

from telnetsd.audit.reading.row import LoggedEvent
from telnetsd.config.settings import NotifySettings
from telnetsd.errors import OperatorError
from telnetsd.events.reason import NotifyReason
from telnetsd.files.home import Home
from telnetsd.notify.rules import require_known
from telnetsd.programs.running import PATH, ProgramStart, start_program

PROGRAM_TIMEOUT_S: Final = 30.0
WEBHOOK_TIMEOUT_S: Final = 30.0
_HTTPS_PORT: Final = 443
_ANSWER_MAX_BYTES: Final = 65_536
_ANSWERS_MAX: Final = 8
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})[ \r]")
_OTHERS: Final = 0o077
_INTERIM: Final = range(100, 200)
_OK: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)


class DeliveryError(Exception):
    """A notification was not delivered; `.reason` is for the log, and the message has no secret in it."""

    def __init__(self, reason: NotifyReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @property
    def was_received(self) -> bool:
        """Whether the receiver may have had the event."""
        return self.reason is not NotifyReason.UNREACHABLE


class Receiver:
    """Delivers to the program or the webhook of one entry.

    Args:
        home: The installation.
        settings: The entry.

    Raises:
        OperatorError: It is for no event that there is, or its secret, its CA or its program cannot be used.
    """

    def __init__(self, home: Home, settings: NotifySettings) -> None:
        require_known(settings)
        self.name = settings.name
        self._words = _words_of(settings)
        self._url = urllib.parse.urlsplit(settings.url)
        self._secret = _read_secret(home, settings)
        self._context = _make_context(home, settings) if settings.url else None

    async def deliver(self, event: LoggedEvent, held_back: int) -> None:
        """Deliver an event.

        Raises:
            DeliveryError: It was not accepted.
        """
        content = msgspec.json.encode({"name": self.name, "held_back": held_back, "event": event})
        await (self._run(content) if self._words else self._post(content))

    async def _run(self, content: bytes) -> None:
        try:
            # A file and not a pipe: a program that does not read it delays nothing.
            with tempfile.TemporaryFile() as given:
                given.write(content)
                given.seek(0)
                status = await self._run_with(given)
        except TimeoutError as error:
            raise DeliveryError(NotifyReason.TIMEOUT, "the program does not end in time") from error
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise DeliveryError(NotifyReason.PROGRAM_FAILED, f"the program cannot be started: {why}") from error
        if status:
            raise DeliveryError(NotifyReason.PROGRAM_FAILED, f"the program failed: exit status {status}")

    async def _run_with(self, given: IO[bytes]) -> int:
        start = ProgramStart(self._words, {"PATH": PATH})
        program = start_program(start, stdin=given.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        await program.require_started()
        try:
            async with asyncio.timeout(PROGRAM_TIMEOUT_S):
                return await program.wait()
        finally:
            await program.end(signal.SIGTERM)

    async def _post(self, content: bytes) -> None:
        try:
            async with asyncio.timeout(WEBHOOK_TIMEOUT_S):
                status = await self._exchange(content)
        except TimeoutError as error:
            raise DeliveryError(NotifyReason.TIMEOUT, "the webhook does not answer in time") from error
        except ssl.SSLCertVerificationError as error:
            # What the library says has the host in it.
            message = "the webhook is not trusted; check ca, and the host in url"
            raise DeliveryError(NotifyReason.UNREACHABLE, message) from error
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            message = f"the webhook cannot be reached: {_words_for(error)}"
            raise DeliveryError(NotifyReason.UNREACHABLE, message) from error
        if status not in _OK:
            how = "redirects, which is not followed" if status in _REDIRECT else "refuses"
            raise DeliveryError(NotifyReason.REFUSED, f"the webhook {how}: status {status}")

    async def _exchange(self, content: bytes) -> int:
        """Make one request, and return the status of its answer (RFC 9112); no thread waits for it."""
        port = self._url.port or _HTTPS_PORT
        opening = asyncio.open_connection(self._url.hostname, port, ssl=self._context, limit=_ANSWER_MAX_BYTES)
        reader, writer = await opening
        try:
            writer.write(self._head(content) + content)
            await writer.drain()
            for _ in range(_ANSWERS_MAX):
                status = _status_of(await reader.readuntil(b"\r\n\r\n"))
                if status not in _INTERIM:
                    return status
        finally:
            writer.transport.abort()
        raise ValueError("it gives no final answer")

    def _head(self, content: bytes) -> bytes:
        target = f"{self._url.path or '/'}{f'?{self._url.query}' if self._url.query else ''}"
        lines = [
            f"POST {target} HTTP/1.1",
            f"Host: {self._url.netloc}",
            f"Content-Length: {len(content)}",
            "Content-Type: application/json",
            "User-Agent: telnetsd",
            "Connection: close",
        ]
        if self._secret:
            at = str(int(time.time()))
            signature = hmac.new(self._secret, at.encode() + b"." + content, hashlib.sha256).hexdigest()
            lines += [f"Telnetsd-Timestamp: {at}", f"Telnetsd-Signature: sha256={signature}"]
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii")


def _status_of(head: bytes) -> int:
    found = _STATUS_LINE.match(head)
    if found is None:
        raise ValueError("its answer is not HTTP")
    return int(found[1])


def _words_for(error: Exception) -> str:
    """Say what went wrong; what the library says may have the address in it."""
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return "its answer is not HTTP" if isinstance(error, ValueError | EOFError) else "it accepts no connection"


def _words_of(settings: NotifySettings) -> list[str]:
    if not settings.program:
        return []
    where = f"program of [[notify]] {settings.name!r}"
    try:
        words = shlex.split(settings.program)
    except ValueError as error:
        raise OperatorError(f"wrong {where}: {error}") from error
    found = shutil.which(words[0], path=PATH) if words else None
    if found is None:
        raise OperatorError(f"{where} not found or not executable: {settings.program!r}")
    return [found, *words[1:]]


def _read_secret(home: Home, settings: NotifySettings) -> bytes:
    if not settings.secret_file:
        return b""
    path, where = home.root / settings.secret_file, f"secret_file of [[notify]] {settings.name!r}"
    try:
        if path.stat().st_mode & _OTHERS:
            raise OperatorError(f"{where} is open to others: {settings.secret_file}; run: chmod 600 {path}")
        secret = path.read_bytes().strip()
    except OSError as error:
        raise OperatorError(f"cannot read {where}: {error.strerror}; check its path and mode") from error
    if not secret:
        raise OperatorError(f"{where} is empty: {settings.secret_file}; write a secret into it")
    return secret


def _make_context(home: Home, settings: NotifySettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(home.root / settings.ca) if settings.ca else None)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"cannot read ca of [[notify]] {settings.name!r}: {error}; check its path") from error
