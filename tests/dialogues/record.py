"""Records the dialogues of tests/dialogues: real programs on a pty, and simulated equipment, with what was typed.

    .venv/bin/python tests/dialogues/record.py [NAME ...]

A dialogue is a file of JSON lines: first its title, size, expected commands and secrets, and then one line for each
input ("i"), output ("o") or resize ("r"), with its time in seconds, in the order in which the server would see them.
The programs are Debian packages: bash, dash, zsh, fish, mksh, busybox, vim, nano, mc, less, htop, sqlite3, bc, ed,
gdb, git, lua5.4, nodejs, perl, tcl. zsh and fish may look different in another version: look at what has changed.
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).resolve().parent

EQUIPMENT = FOLDER.parent / "support" / "equipment.py"
KEY = re.compile(r"\x1b\[[0-9;]*[~A-Z]|\x1bO.|.", re.DOTALL)
GAP_S = 0.012
UP, DOWN, LEFT, RIGHT = "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C"
PASTE, PASTED = "\x1b[200~", "\x1b[201~"


class Dialogue:
    """A program on a pty, and what is typed to it and shown by it."""

    def __init__(
        self,
        name: str,
        argv: list[str],
        env: dict[str, str] | None = None,
        *,
        size: tuple[int, int] = (80, 24),
        term: str = "xterm-256color",
        latency_s: float = 0.0,
    ) -> None:
        self.name, self.size, self.latency_s = name, size, latency_s
        self.commands: list[str] = []
        self.secrets: list[str] = []
        self.events: list[tuple[float, str, str]] = []
        self._begun = time.monotonic()
        self._late: list[tuple[float, bytes]] = []
        self._seen = b""
        self._home = tempfile.mkdtemp()
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.chdir(self._home)
            base = {
                "PATH": os.environ["PATH"],
                "HOME": self._home,
                "TERM": term,
                "LANG": "C.UTF-8",
                "LC_ALL": "C.UTF-8",
            }
            os.execvpe(argv[0], argv, {**base, **(env or {})})  # noqa: S606 -- a program on a pty
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def resize(self, columns: int, rows: int) -> None:
        """Change the size of the terminal."""
        self._note("r", f"{columns}x{rows}")
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self._pid, signal.SIGWINCH)
        self.pause(0.2)

    def pause(self, seconds: float) -> bool:
        """Record what is shown for a time; return False when the program has ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            while self._late and self._late[0][0] <= time.monotonic():
                self._show(self._late.pop(0)[1])
            if select.select([self._fd], [], [], min(left, 0.02))[0]:
                data = self._read()
                if not data:
                    for _, late in self._late:
                        self._show(late)
                    self._late.clear()
                    return False
                self._answer(data)
                if self.latency_s:
                    self._late.append((time.monotonic() + self.latency_s, data))
                else:
                    self._show(data)
        return True

    def wait_for(self, pattern: str, seconds: float = 5.0) -> None:
        """Wait until something is shown."""
        end = time.monotonic() + seconds
        while re.search(pattern.encode(), self._seen) is None:
            if time.monotonic() > end or not self.pause(0.03):
                print(f"  {self.name}: {pattern!r} was not shown, but {self._seen[-200:]!r}")
                return
        self.pause(0.05)

    def type(self, text: str, gap_s: float = GAP_S) -> None:
        """Type keys, one after the other."""
        self._seen = b""
        for key in KEY.findall(text):
            self._write(key.encode())
            self.pause(gap_s)

    def paste(self, text: str) -> None:
        """Send text at once."""
        self._write(text.encode())
        self.pause(0.5)

    def enter(self, expected: str = "", wait: float = 0.25) -> None:
        """Press Enter; a command is expected to be recorded unless it is empty."""
        if expected:
            self.commands.append(expected)
        self._seen = b""
        self._write(b"\r")
        self.pause(wait)

    def run(self, command: str, wait: float = 0.25) -> None:
        """Type a command and press Enter."""
        self.type(command)
        self.enter(command.strip(), wait)

    def secret(self, text: str) -> None:
        """Type something that is not echoed, and press Enter."""
        self.secrets.append(text)
        self.type(text)
        self.enter(wait=0.3)

    def end(self) -> None:
        """End the program, and write the dialogue."""
        self.pause(0.2 + self.latency_s)
        with contextlib.suppress(OSError):
            os.kill(self._pid, signal.SIGHUP)
        self.pause(0.2)
        os.close(self._fd)
        os.waitpid(self._pid, 0)
        shutil.rmtree(self._home, ignore_errors=True)
        header = {"columns": self.size[0], "rows": self.size[1], "commands": self.commands, "secrets": self.secrets}
        rows = [json.dumps(header), *(json.dumps([round(at, 3), code, what]) for at, code, what in self.events)]
        (FOLDER / f"{self.name}.jsonl").write_text("\n".join(rows) + "\n")

    def _read(self) -> bytes:
        try:
            return os.read(self._fd, 4096)
        except OSError:
            return b""

    def _answer(self, data: bytes) -> None:
        """Answer what programs ask a terminal."""
        if b"\x1b[6n" in data:
            self._write(b"\x1b[1;1R")
        if b"\x1b[c" in data or b"\x1b[0c" in data:
            self._write(b"\x1b[?62;c")

    def _show(self, data: bytes) -> None:
        self._seen += data
        self._note("o", data.decode("utf-8", "surrogateescape"))

    def _write(self, data: bytes) -> None:
        self._note("i", data.decode("utf-8", "surrogateescape"))
        if self.latency_s:
            self.pause(self.latency_s)
        with contextlib.suppress(OSError):
            os.write(self._fd, data)

    def _note(self, code: str, what: str) -> None:
        self.events.append((time.monotonic() - self._begun, code, what))


DIALOGUES: dict[str, Callable[[], None]] = {}


def dialogue(function: Callable[[], None]) -> Callable[[], None]:
    """Register a dialogue."""
    DIALOGUES[function.__name__] = function
    return function


def shell(name: str, setup: str = "PS1='$ '\n", **options: object) -> Dialogue:
    """Begin bash with a prompt."""
    rc = Path(tempfile.mkdtemp()) / "rc"
    rc.write_text(setup)
    one = Dialogue(name, ["bash", "--noprofile", "--rcfile", str(rc), "-i"], **options)  # type: ignore[arg-type]
    one.wait_for(r"[$#>] ?")
    return one


def equipment(name: str, kind: str = "", **options: object) -> Dialogue:
    """Begin simulated equipment."""
    argv = ["/usr/bin/python3", str(EQUIPMENT), kind or name]
    return Dialogue(name, argv, **options)  # type: ignore[arg-type]


def edit_in_shell(one: Dialogue, *, has_search: bool = True) -> None:
    """Type, edit, search, complete, and wrap, as in any shell with an editor."""
    one.run("echo hello")
    one.run("ls -l /etc/hostname")
    one.enter()
    one.type("echo wrong word")
    one.type("\x17right")
    one.enter("echo wrong right")
    one.type("cho one two" + LEFT * 4 + "\x01e")
    one.enter("echo one two")
    one.type(UP * 2)
    one.enter("echo wrong right")
    if has_search:
        one.type("\x12hell")
        one.pause(0.1)
        one.enter("echo hello")
    one.type("cat /etc/hostna\t")
    one.pause(0.2)
    one.enter("cat /etc/hostname")
    one.run("echo " + "abcdefghij " * 14 + "end")
    long = "echo " + "0123456789" * 12
    one.type(long + LEFT * 60 + "MID\x05Z")
    one.enter(long[:-60] + "MID" + long[-60:] + "Z")
    one.type("echo dropped\x03")
    one.pause(0.2)
    one.run("echo äöü 漢字 ok")
    one.type("echo 漢字漢字" + LEFT * 2 + "x\x7fß")
    one.enter("echo 漢字ß漢字")
    one.type("echo gone\x15")
    one.run("pwd")


@dialogue
def bash_plain() -> None:
    one = shell("bash_plain")
    edit_in_shell(one)
    one.type("ls /etc/host\t")
    one.pause(0.3)
    one.type("\t")
    one.pause(0.3)
    one.type("name")
    one.enter("ls /etc/hostname")
    one.type("echo swa\x14")
    one.enter("echo saw")
    one.end()


@dialogue
def bash_colours() -> None:
    prompt = r"PS1='\[\e]0;\u@\h: \w\a\]\[\e[01;32m\]\u@\h\[\e[00m\]:\[\e[01;34m\]\w\[\e[33m\] (main)\[\e[00m\]\$ '"
    one = shell("bash_colours", prompt + "\n")
    edit_in_shell(one)
    one.end()


@dialogue
def bash_clock_prompt() -> None:
    one = shell("bash_clock_prompt", r"PS1='[\D{%H:%M:%S}] $ '" + "\n")
    edit_in_shell(one)
    one.end()


@dialogue
def bash_two_row_prompt() -> None:
    one = shell("bash_two_row_prompt", r"PS1='\n\u@\h \w\n> '" + "\n")
    edit_in_shell(one)
    one.end()


@dialogue
def bash_vt100() -> None:
    one = shell("bash_vt100", term="vt100")
    edit_in_shell(one)
    one.end()


@dialogue
def bash_slow() -> None:
    one = shell("bash_slow", latency_s=0.25)
    for command in ("echo slow", "ls /etc/hostname", "uname -a"):
        one.type(command, 0.0)
        one.enter(command, 1.2)
    one.type("echo ", 0.0)
    one.type(UP, 0.0)
    one.enter("uname -a", 1.2)
    one.end()


@dialogue
def bash_typed_ahead() -> None:
    one = shell("bash_typed_ahead")
    one.run("sleep 1; seq 5")
    one.run("echo ahead")
    one.run("uname", 1.3)
    one.run("for i in 1 2 3 4 5 6 7 8; do echo tick $i; sleep .1; done")
    one.type("echo mid", 0.08)
    one.enter("echo mid", 1.2)
    one.run("echo last")
    one.end()


@dialogue
def bash_bracketed_paste() -> None:
    one = shell("bash_bracketed_paste")
    one.paste(f"{PASTE}echo pasted{PASTED}")
    one.enter("echo pasted")
    one.paste(f"{PASTE}echo line1\recho line2\recho line3{PASTED}")
    one.enter("echo line1\necho line2\necho line3")
    one.run("uname -m")
    one.end()


@dialogue
def bash_raw_paste() -> None:
    one = shell("bash_raw_paste", "PS1='$ '\nbind 'set enable-bracketed-paste off'\n")
    one.commands += ["echo r1", "echo r2", "seq 3", "echo r4"]
    one.paste("echo r1\recho r2\rseq 3\recho r4\r")
    one.pause(0.5)
    one.run("uname -m")
    one.end()


@dialogue
def bash_sideways() -> None:
    one = shell("bash_sideways", "PS1='$ '\nbind 'set horizontal-scroll-mode on'\n")
    one.run("echo short")
    one.type("echo " + "".join(f"w{number} " for number in range(50)) + "end")
    one.enter("< " + " ".join(f"w{number}" for number in range(35, 50)) + " end")  # the screen shows no more
    one.run("uname")
    one.end()


@dialogue
def bash_here_document() -> None:
    one = shell("bash_here_document")
    for line in ("cat <<E", "first line", "second", "E", "for i in 1 2", "do echo $i", "done"):
        one.run(line)
    one.end()


@dialogue
def bash_resized() -> None:
    one = shell("bash_resized", size=(132, 40))
    one.run("echo " + "abcdefghij " * 12 + "end")
    one.resize(60, 20)
    one.run("echo " + "klmnopqrst " * 12 + "end")
    one.resize(100, 30)
    one.run("echo " + "uvwxyz0123 " * 12 + "end")
    one.end()


@dialogue
def passwords() -> None:
    one = shell("passwords")
    one.run("read -s -p 'Password: ' x")
    one.secret("hunter2-Geheim")
    one.run("echo after")
    one.run("python3 -c 'import getpass; getpass.getpass()'", 0.6)
    one.secret("s3cret-zwei")
    one.run("echo after2")
    one.run("ssh-keygen -q -t ed25519 -f k1", 0.5)
    one.secret("phrase-drei")
    one.secret("phrase-drei")
    one.pause(0.5)
    one.run("read -s x")
    one.secret("ohne-prompt-4")
    one.run("echo after3")
    one.run("stty -echo; read x; stty echo")
    one.secret("stty-fuenf")
    one.pause(0.3)
    one.run("openssl genrsa -aes128 -out k2 2048", 1.5)
    one.secret("sechs-sechs")
    one.secret("sechs-sechs")
    one.pause(0.5)
    one.run("echo end")
    one.end()


@dialogue
def dash() -> None:
    one = Dialogue("dash", ["dash", "-i"], {"PS1": "# "})
    one.wait_for("# ")
    one.run("echo hello")
    one.type("echo wrnog" + "\x7f" * 4 + "rong")
    one.enter("echo wrong")
    one.type("echo gone\x15")
    one.run("pwd")
    one.run("echo " + "x" * 120)
    one.run("cat > f")
    one.run("content")
    one.type("\x04")
    one.pause(0.2)
    one.run("stty -echo; read p; stty echo")
    one.secret("dash-geheim")
    one.run("echo ü")
    one.end()


@dialogue
def busybox_ash() -> None:
    one = Dialogue("busybox_ash", ["busybox", "ash", "-i"], {"PS1": "/ # "})
    one.wait_for("# ")
    one.run("echo hello")
    one.type("cho one two" + LEFT * 4 + "\x01e")
    one.enter("echo one two")
    one.type(UP * 2)
    one.enter("echo hello")
    one.type("cat /etc/hostna\t")
    one.enter("cat /etc/hostname")
    one.run("echo " + "abcdefghij " * 14 + "end")
    one.type("echo x\x15")
    one.run("pwd")
    one.type("ls /etc/host\t\t")
    one.pause(0.2)
    one.type("name")
    one.enter("ls /etc/hostname")
    one.end()


@dialogue
def mksh() -> None:
    one = Dialogue("mksh", ["mksh", "-i"], {"PS1": "$ "})
    one.wait_for(r"\$ ")
    one.run("echo hello")
    one.type("cho one two" + LEFT * 4 + "\x01e")
    one.enter("echo one two")
    one.type(UP * 2)
    one.enter("echo hello")
    one.type("echo gone\x15")
    one.run("uname -s")
    one.end()


def zsh(name: str, setup: str) -> Dialogue:
    """Begin zsh with a prompt."""
    folder = Path(tempfile.mkdtemp())
    (folder / ".zshrc").write_text(setup)
    one = Dialogue(name, ["zsh", "-i"], {"ZDOTDIR": str(folder)})
    one.wait_for("# ")
    return one


@dialogue
def zsh_plain() -> None:
    one = zsh("zsh_plain", "PROMPT='%n@%m %~ %# '\n")
    edit_in_shell(one)
    one.end()


@dialogue
def zsh_right_prompt() -> None:
    one = zsh("zsh_right_prompt", "PROMPT='%# '\nRPROMPT='%D{%H:%M}'\n")
    edit_in_shell(one)
    one.end()


@dialogue
def fish_plain() -> None:
    one = Dialogue("fish_plain", ["fish", "--private"])
    one.pause(2)
    edit_in_shell(one, has_search=False)
    one.end()


@dialogue
def python_repl() -> None:
    one = Dialogue("python_repl", ["/usr/bin/python3", "-q"])
    one.wait_for(">>> ")
    one.run("1+1")
    one.run("for i in range(2):")
    one.run("    print(i)")
    one.enter()
    one.type(UP * 2)
    one.enter("for i in range(2):")
    one.run("    pass")
    one.enter()
    one.run("input('name? ')")
    one.run("bob")
    one.run("import getpass; getpass.getpass()")
    one.secret("py-geheim")
    one.type("\x04")
    one.end()


@dialogue
def job_control() -> None:
    one = shell("job_control")
    one.run("cat")
    one.run("to cat")
    one.type("\x1a")
    one.pause(0.3)
    one.run("jobs")
    one.run("sleep 30")
    one.type("\x1a")
    one.pause(0.3)
    one.run("kill %1 %2")
    one.run("sleep 5")
    one.type("\x03")
    one.pause(0.3)
    one.run("echo done")
    one.end()


def full_screen(name: str, term: str) -> None:
    """Edit, page and watch with programs that use the whole screen."""
    one = shell(name, term=term)
    one.run("vim -u NONE f1", 0.8)
    one.type("ihello world\rsecond line\rthird # x\r# four\r\x1b")
    one.pause(0.3)
    one.type(":wq\r")
    one.pause(0.5)
    one.run("cat f1")
    one.run("less /etc/services", 0.4)
    one.type(" \r\r/tcp\r")
    one.pause(1)
    one.type("q")
    one.pause(0.3)
    one.run("echo after less")
    one.run("top -d 5", 0.6)
    one.type("\r1q")
    one.pause(0.4)
    one.run("echo after top")
    one.run("htop", 0.6)
    one.type("\rq")
    one.pause(0.4)
    one.run("echo after htop")
    one.run("more /etc/services", 0.4)
    one.type(" \r\rq")
    one.pause(0.3)
    one.run("echo after more")
    one.run("busybox vi f1", 0.5)
    one.type("oin busybox\r\x1b")
    one.pause(0.5)
    one.type(":q!\r")
    one.pause(0.4)
    one.run("echo after busybox")
    one.run("less -X /etc/services", 0.4)
    one.type("\r q")
    one.pause(0.3)
    one.run("clear")
    one.run("echo after clear")
    one.type("\x0c")
    one.pause(0.2)
    one.run("echo after ^L")
    one.end()


@dialogue
def full_screen_xterm() -> None:
    full_screen("full_screen_xterm", "xterm-256color")


@dialogue
def full_screen_vt100() -> None:
    full_screen("full_screen_vt100", "vt100")


@dialogue
def full_screen_linux() -> None:
    full_screen("full_screen_linux", "linux")


def use_ios(one: Dialogue) -> None:
    """Log in to a switch and configure it."""
    one.wait_for("Username")
    one.run("alice")
    one.secret("ios-geheim")
    one.run("en")
    one.secret("enable-geheim")
    one.run("show ver")
    one.type(" \rq")
    one.pause(0.1)
    one.type("sh?")
    one.type("ow run\t")
    one.pause(0.3)
    one.enter("show running-config")
    one.type("q")
    one.run("conf t")
    one.run("int gi0/1")
    one.type("descr foo" + LEFT * 3 + "my ")
    one.enter("descr my foo")
    one.run("no shut")
    one.type("\x1a")
    one.pause(0.2)
    one.type(UP)
    one.enter("no shut")
    one.type("wr mem\x03")
    one.pause(0.1)
    one.type("xx\x15")
    one.run("wr")
    one.run("debug")
    one.run("copy running-config startup-config")
    one.type("\r")
    one.pause(0.1)
    one.run("show clock")
    one.type("q")
    one.run("reload")
    one.type("\r")
    one.end()


@dialogue
def ios() -> None:
    use_ios(equipment("ios"))


@dialogue
def ios_slow() -> None:
    use_ios(equipment("ios_slow", "ios", latency_s=0.1))


@dialogue
def ios_pasted() -> None:
    one = equipment("ios_pasted", "ios")
    one.wait_for("Username")
    one.run("alice")
    one.secret("ios-geheim")
    one.run("en")
    one.secret("enable-geheim")
    lines = ["conf t", "int gi0/1", "description uplink", "no shutdown", "int gi0/2", "description server", "exit"]
    one.commands += lines
    one.paste("".join(f"{line}\r" for line in lines))
    one.run("wr")
    one.end()


@dialogue
def junos() -> None:
    one = equipment("junos")
    one.wait_for("> ")
    one.run("show version")
    one.type(" \rq")
    one.type("sh?")
    one.type("ow interfaces terse")
    one.enter("show interfaces terse")
    one.type("q")
    one.pause(0.1)
    one.type("conf\t")
    one.enter("configure")
    one.run("set system host-name mx2")
    one.run("commit")
    one.type(UP * 2)
    one.enter("set system host-name mx2")
    one.run("exit")
    one.run("request system reboot")
    one.run("no")
    one.run("exit")
    one.end()


@dialogue
def routeros() -> None:
    one = equipment("routeros")
    one.wait_for("Login")
    one.run("admin")
    one.secret("ros-geheim")
    one.run("/ip address print")
    one.type("q")
    one.type("/sys\t" + "\x7f" * 16)
    one.run("/interface print")
    one.type("\rq")
    one.type(UP + "\x7f\x7f\x7f\x7f\x7fprint detail")
    one.enter("/interface print detail")
    one.type("q")
    one.run("/quit")
    one.end()


@dialogue
def uboot() -> None:
    one = equipment("uboot")
    one.wait_for("autoboot")
    one.pause(0.2)
    one.type(" ")
    one.pause(0.1)
    one.run("printenv")
    one.type("setenv bootdelay 33\x7f")
    one.enter("setenv bootdelay 3")
    one.type(UP)
    one.enter("setenv bootdelay 3")
    one.run("bootmenu")
    one.type("xx\r")
    one.pause(0.1)
    one.run("version")
    one.run("boot")
    one.end()


@dialogue
def pdu() -> None:
    one = equipment("pdu")
    one.wait_for("> ")
    one.run("1")
    one.type("\r")
    one.run("3")
    one.type("Y")
    one.pause(0.1)
    one.run("2")
    one.run("4")
    one.end()


@dialogue
def instrument() -> None:
    one = equipment("instrument")
    for line in ("*IDN?", "VOLT 3.3", "VOLT?", "OUTP ON", "exit"):
        one.type(line)
        one.enter()
    one.secrets.append("OUTP ON")
    one.end()


@dialogue
def scrolling_ios() -> None:
    one = equipment("scrolling_ios")
    one.wait_for("#")
    one.run("show clock")
    one.type("access-list 101 permit tcp 10.0.0.0 0.0.0.255 host 192.0.2.1 eq 443 log")
    one.enter("$.255 host 192.0.2.1 eq 443 log")  # the screen shows no more
    one.run("exit")
    one.end()


@dialogue
def noisy_console() -> None:
    one = equipment("noisy_console")
    one.wait_for("# ")
    one.run("uname")
    one.run("noise", 0.4)
    one.run("late")
    one.run("echo while late", 0.4)
    one.run("exit")
    one.end()


@dialogue
def bmc() -> None:
    one = equipment("bmc")
    one.wait_for("login")
    one.run("root")
    one.secret("bmc-geheim")
    one.run("show /admin1")
    one.run("set password user=root")
    one.secret("neu-geheim")
    one.secret("neu-geheim")
    one.run("reset system1")
    one.run("exit")
    one.end()


@dialogue
def sqlite_shell() -> None:
    one = Dialogue("sqlite_shell", ["sqlite3", "-interactive"])
    one.wait_for("sqlite> ")
    one.run("create table t(a);")
    one.run("insert into t")
    one.run("values (1),(2);")
    one.type(UP + UP)
    one.enter("insert into t")
    one.run("values (3);")
    one.run("select * from t;")
    one.run(".quit")
    one.end()


@dialogue
def calculator() -> None:
    one = Dialogue("calculator", ["bc", "-q"])
    one.pause(0.5)
    one.run("1+1")
    one.run("2^64")
    one.run("quit")
    one.end()


# The dialogues from here on were written after the rules of telnetsd.lines.typed were finished.


@dialogue
def lua_repl() -> None:
    one = Dialogue("lua_repl", ["lua5.4", "-i"])
    one.wait_for("> ")
    one.run("x = 6 * 7")
    one.run("print(x)")
    one.run("for i = 1, 3 do")
    one.run("print(i)")
    one.run("end")
    one.type(UP * 4 + "\x7f\x7f\x7fx, 43)")
    one.enter("x = 6 x, 43)")
    one.run("os.exit()")
    one.end()


@dialogue
def tclsh() -> None:
    one = Dialogue("tclsh", ["tclsh"])
    one.wait_for("% ")
    one.run("set a 5")
    one.run("expr {$a * 3}")
    one.type("puts helo" + "\x7f" + "lo")
    one.enter("puts hello")
    one.run("proc f {} {")
    one.run("return 1")
    one.run("}")
    one.run("exit")
    one.end()


@dialogue
def node_repl() -> None:
    one = Dialogue("node_repl", ["node"])
    one.wait_for("> ", 10)
    one.run("const a = 5", 0.4)
    one.run("a * 3", 0.4)
    one.run("function f() {", 0.4)
    one.run("return 1", 0.4)
    one.run("}", 0.4)
    one.type(UP * 4)
    one.pause(0.2)
    one.enter("a * 3", 0.4)
    one.type("Math.flo\t")
    one.pause(0.4)
    one.type("(2.5)")
    one.pause(0.2)
    one.enter("Math.floor(2.5)", 0.4)
    one.run(".exit", 0.4)
    one.end()


@dialogue
def ed_editor() -> None:
    one = shell("ed_editor")
    one.run("ed notes")
    for line in ("a", "first line", "second line", ".", "1,2p", "s/second/2nd/", "w", "q"):
        one.run(line)
    one.run("cat notes")
    one.end()


@dialogue
def bash_vi_mode() -> None:
    one = shell("bash_vi_mode", "PS1='\\u@\\h:\\w\\$ '\nset -o vi\n")
    one.run("echo one two three")
    one.type("\x1bk")
    one.pause(0.2)
    one.type("bcwfour\x1b")
    one.pause(0.7)
    one.enter("four one two three")
    one.type("\x1b/one\r")
    one.pause(0.7)
    one.enter("four one two three")
    one.run("uname -r")
    one.type("xyz\x1bdd")
    one.pause(0.7)
    one.type("iecho end\x1b")
    one.pause(0.7)
    one.enter("echo end")
    one.end()


@dialogue
def editors_in_bash() -> None:
    one = shell("editors_in_bash", "PS1='root@box:~# '\n")
    one.run("nano memo", 0.8)
    one.type("hello from nano\rsecond line\r")
    one.type("\x18y\r")
    one.pause(0.6)
    one.run("cat memo")
    one.run("mc -a", 1.5)
    one.type("exit\r")
    one.pause(1.2)
    one.run("echo after mc")
    one.run("less memo", 0.5)
    one.type("q")
    one.pause(0.3)
    one.run("rm memo")
    one.end()


@dialogue
def gdb_session() -> None:
    one = Dialogue("gdb_session", ["gdb", "-q", "-nx"])
    one.wait_for(r"\(gdb\) ", 20)
    one.run("set pagination on", 0.4)
    one.run("print 6*7", 0.4)
    one.type("info sig\t", 0.05)
    one.pause(0.8)
    one.enter("info signals", 0.8)
    one.type(UP * 2)
    one.pause(0.3)
    one.enter("print 6*7", 0.4)
    one.run("show version", 0.6)
    one.run("quit", 0.6)
    one.end()


@dialogue
def arista() -> None:
    one = equipment("arista")
    one.wait_for("login")
    one.run("admin")
    one.secret("arista-geheim")
    one.run("enable")
    one.type("sh\t")
    one.pause(0.2)
    one.type("ow v\t")
    one.pause(0.2)
    one.enter("show version")
    one.type(" q")
    one.pause(0.2)
    one.run("configure")
    one.type("wri?")
    one.pause(0.2)
    one.type("te")
    one.enter("write")
    one.run("interface Ethernet1")
    one.run("description uplink to spine 1, patched through cabinet 7 panel B port 13, cable 2291")
    one.run("end")
    one.type(UP)
    one.enter("end")
    one.paste("show interfaces status\r")
    one.commands.append("show interfaces status")
    one.type("q")
    one.pause(0.2)
    one.run("exit")
    one.end()


@dialogue
def pdb_session() -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "program.py").write_text("total = 0\nfor n in range(3):\n    total += n\nprint(total)\n")
    one = Dialogue("pdb_session", ["/usr/bin/python3", "-m", "pdb", str(folder / "program.py")])
    one.wait_for(r"\(Pdb\) ")
    one.run("list")
    one.run("break 4")
    one.run("continue", 0.5)
    one.run("p total")
    one.enter()
    one.type("p tot\t")
    one.pause(0.3)
    one.enter("p total")
    one.type("q")
    one.enter("q")
    one.end()


@dialogue
def bash_on_a_slow_line() -> None:
    one = shell("bash_on_a_slow_line", "PS1='[\\u@\\h \\W]\\$ '\n", latency_s=0.15)
    one.type("ls /ect\x7f\x7f\x7fetc/hosts", 0.0)
    one.enter("ls /etc/hosts", 1.0)
    one.type("cat /etc/hosts", 0.0)
    one.enter("cat /etc/hosts", 0.0)
    one.type("echo typed ahead", 0.0)
    one.enter("echo typed ahead", 1.2)
    one.run("read -s secret", 1.0)
    one.secret("slow-geheim")
    one.pause(0.5)
    one.type(UP * 2, 0.1)
    one.pause(0.6)
    one.enter("echo typed ahead", 1.2)
    one.run("exit", 1.0)
    one.end()


# The dialogues from here on were written after the rules had been changed once more.


@dialogue
def perl_debugger() -> None:
    one = Dialogue("perl_debugger", ["perl", "-d", "-e", "my $a = 1; my $b = 2; print $a + $b;"], {"PERLDB_OPTS": ""})
    one.wait_for("DB<1> ")
    for line in ("n", "p $a", "x [1, 2]", "p 'two words'", "q"):
        one.run(line, 0.5)
    one.end()


@dialogue
def bash_continued_lines() -> None:
    one = shell("bash_continued_lines", "PS1='$ '\n")
    one.run("echo 'first")
    one.run("second'")
    one.run("if true; then")
    one.run("echo yes; fi")
    one.type("ecoh" + LEFT * 2 + "\x7f" + RIGHT + "c\x05 x")
    one.pause(0.2)
    one.type("\x15")
    one.run("history | wc -l")
    one.end()


@dialogue
def zsh_history_search() -> None:
    one = zsh("zsh_history_search", "PROMPT='%B%F{green}%n@%m%f%b %1~ %# '\n")
    one.run("echo alpha beta")
    one.run("uname -s")
    one.type("\x12alp")
    one.pause(0.4)
    one.enter("echo alpha beta", 0.4)
    one.type(UP * 2)
    one.pause(0.3)
    one.enter("uname -s", 0.4)
    one.run("read -s word", 0.4)
    one.secret("zsh-geheim")
    one.run("print done", 0.4)
    one.end()


@dialogue
def fish_suggestion() -> None:
    one = Dialogue("fish_suggestion", ["fish", "--private"])
    one.pause(2)
    one.run("echo one two three", 0.6)
    one.type("echo o")
    one.pause(0.6)
    one.type(RIGHT)
    one.pause(0.4)
    one.enter("echo one two three", 0.6)
    one.run("uname", 0.6)
    one.run("exit", 0.4)
    one.end()


@dialogue
def git_questions() -> None:
    one = shell(
        "git_questions", "PS1='\\W$ '\ngit config --global user.email a@b.c\ngit config --global user.name a\n"
    )
    one.run("git init -q r; cd r; seq 40 > f; git add f; git commit -qm one", 1.0)
    one.run("sed -i 's/^1$/one/; s/^40$/forty/' f", 0.5)
    one.run("git add -p", 0.8)
    one.run("y", 0.5)
    one.run("n", 0.5)
    one.run("git status --short", 0.5)
    one.end()


@dialogue
def confirmations() -> None:
    one = shell("confirmations", "PS1='# '\n")
    one.run("touch a b c")
    one.run("rm -i a b")
    one.run("y")
    one.run("n")
    one.run("cp -i b c")
    one.run("yes")
    one.run("ls")
    one.end()


@dialogue
def vrp() -> None:
    one = equipment("vrp")
    one.wait_for("<R1>")
    one.run("display version")
    one.type(" q")
    one.pause(0.2)
    one.run("system-view")
    one.run("interface GigabitEthernet 0/0/1")
    one.run("undo shutdown")
    one.type("descrption\x7f\x7f\x7f\x7f\x7fiption uplink")
    one.enter("description uplink")
    one.type("\x1a")
    one.pause(0.3)
    one.run("save")
    one.type("y")
    one.pause(0.2)
    one.type(UP)
    one.pause(0.2)
    one.enter("save")
    one.type("n")
    one.pause(0.2)
    one.run("quit")
    one.end()


@dialogue
def getty() -> None:
    one = equipment("getty")
    one.wait_for("login: ")
    one.run("alice")
    one.secret("getty-geheim")
    one.run("dmesg")
    one.run("sudo id")
    one.secret("sudo-geheim")
    one.type("ip adr\x7fdr")
    one.enter("ip addr")
    one.type(UP * 2)
    one.pause(0.1)
    one.enter("sudo id")
    one.secret("sudo-geheim")
    one.run("logout")
    one.end()


@dialogue
def python_program() -> None:
    program = (
        "import getpass\nname = input('Name: ')\ngetpass.getpass('Pass: ')\nwhile input('> ') != 'end': print('ok')"
    )
    one = Dialogue("python_program", ["/usr/bin/python3", "-c", program])
    one.wait_for("Name: ")
    one.run("alice")
    one.secret("programm-geheim")
    one.run("do this")
    one.type("do taht\x7f\x7f\x7fhat")
    one.enter("do that")
    one.run("end")
    one.end()


@dialogue
def bash_far_away() -> None:
    one = shell("bash_far_away", "PS1='far:\\w\\$ '\n", latency_s=0.3)
    one.type("cd /tpm\x7f\x7fmp", 0.0)
    one.enter("cd /tmp", 1.0)
    one.type("ls -d .", 0.0)
    one.enter("ls -d .", 1.0)
    one.type(UP * 2, 0.1)
    one.pause(1.0)
    one.enter("cd /tmp", 1.0)
    one.run("exit", 1.0)
    one.end()


def main(names: list[str]) -> None:
    """Record dialogues."""
    FOLDER.mkdir(exist_ok=True)
    for name in names or DIALOGUES:
        DIALOGUES[name]()
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
