"""The real `openssl`: as a maker of keys and requests, as a CA, and as a TLS client that sends what is piped in."""

import os
import select
import subprocess
import time
from pathlib import Path
from typing import Self

from support.machine import DEADLINE_S
from support.server import RunningServer


def openssl(*words: str | Path, cwd: Path | None = None, sent: bytes | None = None) -> str:
    """Run openssl, and return what it printed."""
    done = subprocess.run(
        ["openssl", *map(str, words)], cwd=cwd, input=sent, capture_output=True, check=False, timeout=DEADLINE_S
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def make_key(path: Path, *, is_rsa: bool = False) -> Path:
    """Make a private key as a user does."""
    kind = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048") if is_rsa else ("-algorithm", "EC")
    curve = () if is_rsa else ("-pkeyopt", "ec_paramgen_curve:P-256")
    path.touch(0o600)
    openssl("genpkey", *kind, *curve, "-out", path)
    return path


def make_csr(key: Path, subject: str, *options: str) -> str:
    """Make a certification request, in PEM."""
    return openssl("req", "-new", "-key", key, "-subj", subject, *options)


def self_sign(key: Path, subject: str, path: Path, *options: str) -> Path:
    """Make a self-signed certificate with what `openssl req -x509` has by default: CA:TRUE."""
    openssl("req", "-x509", "-key", key, "-subj", subject, "-days", "30", "-out", path, *options)
    return path


class OpensslClient:
    """`openssl s_client` on pipes, presenting a certificate or none."""

    def __init__(self, server: RunningServer, certificate: Path | None = None, key: Path | None = None) -> None:
        presented = ["-cert", str(certificate), "-key", str(key)] if certificate and key else []
        if certificate:
            presented += ["-cert_chain", str(certificate)]
        self.process = subprocess.Popen(
            [
                "openssl",
                "s_client",
                "-quiet",
                "-verify_quiet",
                "-verify_return_error",
                "-CAfile",
                str(server.home.ca_certificate),
                "-connect",
                f"127.0.0.1:{server.port}",
                *presented,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._input, self._output = self.process.stdin, self.process.stdout
        self._received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def send(self, text: str) -> None:
        self._input.write(text.encode())
        self._input.flush()

    def read_until(self, mark: str) -> str:
        deadline = time.monotonic() + DEADLINE_S
        while mark.encode() not in self._received:
            assert self._read(deadline), f"the server closed; before that it said {self._received!r}"
        end = self._received.index(mark.encode()) + len(mark.encode())
        text, self._received = self._received[:end], self._received[end:]
        return text.decode()

    def read_to_end(self) -> str:
        deadline = time.monotonic() + DEADLINE_S
        while self._read(deadline):
            pass
        text, self._received = self._received, b""
        return text.decode()

    def command(self, line: str, prompt: str) -> str:
        """Send a line, and return the answer without the next prompt."""
        self.send(f"{line}\r\n")
        return self.read_until(prompt).removesuffix(prompt).replace("\r", "")

    def _read(self, deadline: float) -> bytes:
        ready, _, _ = select.select([self._output], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing came within {DEADLINE_S} s; before that {self._received!r}"
        data = os.read(self._output.fileno(), 65536)
        self._received += data
        return data
