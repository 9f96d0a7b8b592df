"""The real rsyslogd, as a collector that writes what it receives to a file."""

import contextlib
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple, Self

from support.machine import DEADLINE_S
from support.server import wait_until
from telnetsd.files.home import Home

_CONFIGURATION = """\
global(workDirectory="{folder}" maxMessageSize="64k" {tls})
module(load="{module}" {module_options})
input(type="{module}" address="127.0.0.1" port="{port}")
template(name="fields" type="string"
         string="%PRI%|%timereported:::date-rfc3339%|%HOSTNAME%|%APP-NAME%|%MSGID%|%msg%\\n")
action(type="omfile" file="{folder}/received" template="fields")
"""


class Received(NamedTuple):
    """One message, and the fields of its header."""

    priority: str
    time: str
    host: str
    program: str
    message_id: str
    content: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Rsyslog:
    """rsyslogd on a port of loopback; `kind` is udp, tcp or tls."""

    def __init__(self, folder: Path, kind: str, home: Home, port: int = 0) -> None:
        self.folder, self.port = folder, port or free_port()
        folder.mkdir(exist_ok=True)
        tls, options = "", ""
        if kind == "tls":
            files = (("CA", home.ca_certificate), ("Cert", home.server_certificate), ("Key", home.server_key))
            tls = 'DefaultNetstreamDriver="gtls" '
            tls += " ".join(f'DefaultNetstreamDriver{name}File="{path}"' for name, path in files)
            options = 'StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid"'
        text = _CONFIGURATION.format(
            folder=folder,
            tls=tls,
            port=self.port,
            module="imudp" if kind == "udp" else "imtcp",
            module_options=options,
        )
        (folder / "rsyslog.conf").write_text(text)
        self.process = subprocess.Popen(
            ["/usr/sbin/rsyslogd", "-n", "-f", folder / "rsyslog.conf", "-i", folder / "pid"],
            stderr=subprocess.DEVNULL,
        )
        table = Path("/proc/net/udp" if kind == "udp" else "/proc/net/tcp")
        wait_until(lambda: f"0100007F:{self.port:04X} " in table.read_text(), "rsyslogd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(DEADLINE_S)

    def received(self) -> list[Received]:
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "received").read_text().splitlines()
            return [Received(*line.split("|", 5)) for line in lines]
        return []

    def wait_for(self, text: str) -> list[Received]:
        """Return what was received, once a message contains that text."""
        wait_until(lambda: any(text in one.content for one in self.received()), f"{text} at the collector")
        return self.received()
