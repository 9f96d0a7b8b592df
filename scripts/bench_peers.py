"""The servers that are measured beside each other: how each one is started, found and measured.

Each one has a core of its own (the first), and the load has the others; only several workers share all of them with
the load.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.rsyslog import free_port
from support.server import wait_until
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home

LINE_PROGRAM: Final = (
    '#!/bin/sh\nprintf "hello\\r\\n> "\nwhile read -r command words; do printf "%s\\r\\n> " "$words"; done\n'
)
"""The smallest program that is a line: it greets, and answers `echo WORDS`; stunnel, telnetd and sshd start it."""
ROOM: Final = """\
[listener]
max_connections = 15000
[limits]
sessions_per_user = 20000
handshakes_begin = 20000
handshakes_full = 20001
lines_per_s = 1000000
"""
"""Settings that allow one user to do what is measured here; the defaults would slow and refuse that user."""
TICKS_US: Final = 1_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Peer:
    """One server.

    Attributes:
        name: The column.
        command: How it is started.
        port: Where it listens.
        load: How logins arrive: `tls` by the load generator, or the name of another way.
        cores: Which cores it runs on; empty for all.
    """

    name: str
    command: list[str]
    port: int
    load: str = "tls"
    cores: tuple[int, ...] = (0,)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=self._take_cores,  # noqa: PLW1509 -- no threads yet
        )
        wait_until(self._is_open, self.name)

    def stop(self) -> None:
        """Stop it, and the processes that it has started."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def cpu_us(self) -> int:
        """Return the CPU time of its process tree so far, including processes that have ended."""
        return sum(_cpu_ticks(pid) for pid in self.tree()) * TICKS_US

    def memory_kib(self) -> int:
        """Return the memory that its process tree has to itself; shared memory counts in parts."""
        return sum(_pss_kib(pid) for pid in self.tree())

    def tree(self) -> list[int]:
        """Return its processes."""
        assert self.process is not None  # noqa: S101 -- it was started
        parents = dict(_parents())
        found = [self.process.pid]
        for pid in found:
            found.extend(child for child, parent in parents.items() if parent == pid)
        return found

    def _take_cores(self) -> None:
        os.sched_setaffinity(0, self.cores or range(os.cpu_count() or 1))

    def _is_open(self) -> bool:
        assert self.process is not None  # noqa: S101
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} does not start: {' '.join(self.command)}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def telnetsd(home: Home, workers: int, name: str = "telnetsd") -> Peer:
    """Return our server."""
    port = free_port()
    command = [sys.executable, "-m", "telnetsd", "serve", "--home", str(home.root), "--listen", f"127.0.0.1:{port}"]
    return Peer(name, [*command, "--workers", str(workers)], port)


def find_peers(home: Home, folder: Path) -> tuple[list[Peer], dict[str, str]]:
    """Return every other server that is available here; for those that are not, return why."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "line-program"
    program.write_text(LINE_PROGRAM)
    program.chmod(0o755)
    makers: dict[str, Callable[[Home, Path, Path], Peer]] = {
        "Go": _go,
        "openssl s_server": _s_server,
        "telnetlib3": _telnetlib3,
        "stunnel exec": _stunnel,
        "ncat exec": _ncat,
        "telnetd-ssl": _telnetd_ssl,
        "sshd": _sshd,
        "asyncssh": _asyncssh,
    }
    peers, absent = [], {}
    for name, make in makers.items():
        try:
            peers.append(make(home, folder, program))
        except FileNotFoundError as error:
            absent[name] = str(error)
    return peers, absent


def _go(home: Home, folder: Path, _: Path) -> Peer:
    port = free_port()
    files = [home.server_certificate, home.server_key, home.ca_certificate]
    return Peer("Go", [str(_built("goserver", folder)), f"127.0.0.1:{port}", *map(str, files)], port)


def _s_server(home: Home, _: Path, __: Path) -> Peer:
    port = free_port()
    words = f"yes '> ' | {_program('openssl')} s_server -quiet -accept 127.0.0.1:{port} -Verify 2 {_pem(home)}"
    return Peer("openssl s_server", ["sh", "-c", words], port, load="tls, one at a time")


def _telnetlib3(home: Home, _: Path, __: Path) -> Peer:
    port = free_port()
    script = Path(__file__).with_name("bench_telnetlib3.py")
    files = [home.server_certificate, home.server_key, home.ca_certificate]
    return Peer("telnetlib3", [sys.executable, str(script), str(port), *map(str, files)], port)


def _stunnel(home: Home, folder: Path, program: Path) -> Peer:
    port, configuration = free_port(), folder / "stunnel.conf"
    configuration.write_text(
        f"foreground = yes\npid =\nsyslog = no\ndebug = 0\n[line]\naccept = 127.0.0.1:{port}\nexec = {program}\n"
        f"cert = {home.server_certificate}\nkey = {home.server_key}\nCAfile = {home.ca_certificate}\n"
        "verifyChain = yes\n"
    )
    return Peer("stunnel exec", [_program("stunnel4"), str(configuration)], port)


def _ncat(home: Home, _: Path, program: Path) -> Peer:
    port = free_port()
    tls = ["--ssl", "--ssl-cert", str(home.server_certificate), "--ssl-key", str(home.server_key)]
    return Peer("ncat exec", [_program("ncat"), "-l", "127.0.0.1", str(port), "-k", "-e", str(program), *tls], port)


def _telnetd_ssl(home: Home, folder: Path, program: Path) -> Peer:
    port = free_port()
    certificate, key = _rsa_server(home, folder)
    telnetd = f"{_program('in.telnetd')} -h -L {program} -z ssl -z secure -z cert={certificate}"
    telnetd += f" -z key={key} -z cacert={home.ca_certificate} -z verify=1"
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay"
    return Peer("telnetd-ssl", [_program("socat"), listen, f"EXEC:{telnetd}"], port, load="telnet")


def _rsa_server(home: Home, folder: Path) -> tuple[Path, Path]:
    """Issue a server certificate for an RSA key, since telnetd-ssl accepts no other kind."""
    key, request, certificate, names = (folder / f"rsa.{kind}" for kind in ("key", "csr", "pem", "ext"))
    names.write_text("subjectAltName = DNS:localhost\n")
    openssl = _program("openssl")
    new = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(request), "-subj", "/CN=localhost"]
    _quietly(openssl, "req", *new, quiet=True)
    issuer = ["-CA", str(home.ca_certificate), "-CAkey", str(home.ca_key), "-CAcreateserial"]
    output = ["-CAserial", str(folder / "serial"), "-extfile", str(names), "-out", str(certificate)]
    _quietly(openssl, "x509", "-req", "-in", str(request), *issuer, *output, quiet=True)
    return certificate, key


def _sshd(_: Home, folder: Path, program: Path) -> Peer:
    port = free_port()
    keys = _ssh_keys(folder)
    Path("/run/sshd").mkdir(exist_ok=True)
    options = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": keys / "host",
        "TrustedUserCAKeys": keys / "ca.pub",
        "AuthorizedKeysFile": "none",
        "ForceCommand": program,
        "PermitRootLogin": "yes",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "MaxStartups": "1000",
        "LogLevel": "VERBOSE",
        "PidFile": "none",
    }
    words = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return Peer("sshd", [_program("sshd"), "-D", "-e", "-f", "/dev/null", *words], port, load="ssh")


def _asyncssh(_: Home, folder: Path, __: Path) -> Peer:
    port = free_port()
    keys = _ssh_keys(folder)
    script = Path(__file__).with_name("bench_asyncssh.py")
    command = [sys.executable, str(script), "serve", str(port), str(keys)]
    return Peer("asyncssh", command, port, load="ssh")


def _ssh_keys(folder: Path) -> Path:
    """Make a CA, a host's key and a user's certificate, once."""
    keys, keygen = folder / "ssh", _program("ssh-keygen")
    if not keys.exists():
        keys.mkdir(mode=0o700)
        for name in ("ca", "host", "user"):
            _quietly(keygen, "-q", "-t", "ecdsa", "-N", "", "-f", str(keys / name))
        _quietly(keygen, "-q", "-s", str(keys / "ca"), "-I", "alice", "-n", "root,alice", str(keys / "user.pub"))
    return keys


def load_generator(folder: Path) -> Path:
    """Return the load generator.

    Raises:
        FileNotFoundError: It is not there, or cannot be built.
    """
    return _built("loadgen", folder)


def _built(name: str, folder: Path) -> Path:
    """Build a Go program of the peers' folder, once."""
    sources = Path(os.environ.get("TELNETSD_PEERS", Path(__file__).resolve().parents[2] / "shared" / "peers")) / name
    if not sources.exists():
        raise FileNotFoundError(f"its source is not at {sources}; say where: TELNETSD_PEERS=FOLDER")
    target = folder / f"{name}.bin"
    if not target.exists():
        copy = folder / name
        shutil.copytree(sources, copy, dirs_exist_ok=True)
        _quietly(_program("go"), "build", "-o", str(target), ".", folder=copy)
    return target


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found


def _pem(home: Home) -> str:
    return f"-cert {home.server_certificate} -key {home.server_key} -CAfile {home.ca_certificate}"


def client_files(home: Home) -> list[str]:
    """Return the load generator's options for the user alice."""
    files = user_files(home, "alice")
    return ["-cert", str(files.certificate), "-key", str(files.key), "-ca", str(home.ca_certificate)]


def _quietly(*command: str, folder: Path | None = None, quiet: bool = False) -> None:
    words = subprocess.DEVNULL if quiet else None
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=words)


def _parents() -> Iterator[tuple[int, int]]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(process.name), int(_status(int(process.name))[1])


def _status(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name, which may contain blanks."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _cpu_ticks(pid: int) -> int:
    try:
        return sum(map(int, _status(pid)[11:15]))
    except OSError:
        return 0


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def rest(seconds: float) -> None:
    """Let ended processes be cleared away before the next measurement."""
    time.sleep(seconds)
