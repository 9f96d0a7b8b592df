"""Delivering one notification: to a program's standard input, or to an HTTPS webhook.

A webhook's address may have a secret in it, so it is in no message and no event. Redirects are not followed: they
would send the content somewhere else. Of an answer, only its status counts.
"""

import asyncio
import hashlib
import hmac
import http.client
import shlex
import shutil
import signal
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
from telnetsd.programs.running import PATH, ProgramStart, start_program

PROGRAM_TIMEOUT_S: Final = 30.0
WEBHOOK_TIMEOUT_S: Final = 10.0
_WHOLE_TIMEOUT_S: Final = 30.0
_OTHERS: Final = 0o077
_OK: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)


class DeliveryError(Exception):
    """A notification was not delivered; `.reason` is for the log, and the message has no secret in it."""

    def __init__(self, reason: NotifyReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Receiver:
    """Delivers to the program or the webhook of one entry.

    Args:
        home: The installation.
        settings: The entry.

    Raises:
        OperatorError: Its secret, its CA or its program cannot be used.
    """

    def __init__(self, home: Home, settings: NotifySettings) -> None:
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
        if self._words:
            await self._run(content)
            return
        try:
            await asyncio.wait_for(asyncio.to_thread(self._post, content), _WHOLE_TIMEOUT_S)
        except TimeoutError as error:
            raise DeliveryError(NotifyReason.TIMEOUT, "the webhook does not answer in time") from error

    async def _run(self, content: bytes) -> None:
        # A file and not a pipe: a program that reads nothing blocks nobody.
        with tempfile.TemporaryFile() as given:
            given.write(content)
            given.seek(0)
            try:
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

    def _post(self, content: bytes) -> None:
        host, port = self._url.hostname or "", self._url.port
        connection = http.client.HTTPSConnection(host, port, timeout=WEBHOOK_TIMEOUT_S, context=self._context)
        target = f"{self._url.path or '/'}{f'?{self._url.query}' if self._url.query else ''}"
        try:
            connection.request("POST", target, content, self._headers(content))
            status = connection.getresponse().status
        except TimeoutError as error:
            raise DeliveryError(NotifyReason.TIMEOUT, "the webhook does not answer in time") from error
        except ssl.SSLCertVerificationError as error:
            message = f"the webhook is not trusted: {error.verify_message}"
            raise DeliveryError(NotifyReason.UNREACHABLE, message) from error
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise DeliveryError(NotifyReason.UNREACHABLE, f"the webhook cannot be reached: {why}") from error
        finally:
            connection.close()
        if status not in _OK:
            how = "redirects, which is not followed" if status in _REDIRECT else "refuses"
            raise DeliveryError(NotifyReason.REFUSED, f"the webhook {how}: status {status}")

    def _headers(self, content: bytes) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "User-Agent": "telnetsd"}
        if self._secret:
            at = str(int(time.time()))
            signature = hmac.new(self._secret, at.encode() + b"." + content, hashlib.sha256).hexdigest()
            headers |= {"Telnetsd-Timestamp": at, "Telnetsd-Signature": f"sha256={signature}"}
        return headers


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
