"""Simulated equipment on a terminal, for dialogues: `python equipment.py KIND`, where KIND is a key of KINDS.

Each kind echoes and edits as a maker's equipment does, which differs from what a shell does.
"""

import os
import sys
import time
import tty
from collections.abc import Callable, Sequence

ENTER, ESCAPE, CTRL_C, CTRL_Z = "\r", "\x1b", "\x03", "\x1a"
UP, LEFT, RIGHT = "\x1b[A", "\x1b[D", "\x1b[C"
RUBOUT = ("\x7f", "\b")


def say(text: str) -> None:
    """Show text."""
    os.write(1, text.encode())


def key() -> str:
    """Return the next key: a character, or the sequence of a cursor key."""
    data = os.read(0, 1)
    if not data:
        sys.exit()
    if data == b"\x1b":
        data += os.read(0, 2)
    while True:
        try:
            return data.decode()
        except UnicodeDecodeError:
            data += os.read(0, 1)


def ask_secret(prompt: str, mask: str = "") -> None:
    """Ask for a password, which is not shown."""
    say(prompt)
    while key() != ENTER:
        say(mask)
    say("\r\n")


def ask_plain(prompt: str) -> str:
    """Ask for a word, with no editing but rubout."""
    say(prompt)
    text = ""
    while (one := key()) != ENTER:
        if one in RUBOUT:
            text = text[:-1]
            say("\b \b")
        else:
            text += one
            say(one)
    say("\r\n")
    return text


def page(rows: Sequence[str], more: str, erase: str, height: int = 8) -> None:
    """Show rows with a pager: space shows a page, Enter a row, any other key ends it."""
    left = height
    for row in rows:
        if left == 0:
            say(more)
            pressed = key()
            say(erase)
            if pressed not in (" ", ENTER):
                return
            left = height if pressed == " " else 1
        say(f"{row}\r\n")
        left -= 1


class Editor:
    """An editor of one line that writes only what changes, as IOS and U-Boot do."""

    def __init__(self, words: Sequence[str] = (), help_key: str = "") -> None:
        self.words = words
        self.help_key = help_key
        self.history: list[str] = []
        self.text = ""
        self.at = 0

    def _insert(self, text: str) -> None:
        rest = self.text[self.at :]
        self.text = self.text[: self.at] + text + rest
        self.at += len(text)
        say(text + rest + "\b" * len(rest))

    def _erase_left(self) -> None:
        if self.at:
            rest = self.text[self.at :]
            self.text = self.text[: self.at - 1] + rest
            self.at -= 1
            say("\b" + rest + " " + "\b" * (len(rest) + 1))

    def _replace(self, text: str) -> None:
        say("\b" * self.at + " " * len(self.text) + "\b" * len(self.text) + text)
        self.text, self.at = text, len(text)

    def _help(self, prompt: str) -> None:
        say("?\r\n")
        for word in self.words:
            if word.startswith(self.text.strip()):
                say(f"  {word}\r\n")
        say(f"\r\n{prompt}{self.text}")
        self.at = len(self.text)

    def _complete(self, prompt: str) -> None:
        found = [word for word in self.words if word.startswith(self.text)]
        say(f"\r\n{prompt}")
        self.text = found[0] + " " if len(found) == 1 else self.text
        say(self.text)
        self.at = len(self.text)

    def read(self, prompt: str) -> str:
        """Return a line; CTRL_C and CTRL_Z are returned as such."""
        say(prompt)
        self.text, self.at, place = "", 0, len(self.history)
        while True:
            one = key()
            if one == ENTER:
                say("\r\n")
                if self.text.strip():
                    self.history.append(self.text)
                return self.text.strip()
            if one in (CTRL_C, CTRL_Z):
                say("^Z\r\n" if one == CTRL_Z else "\r\n")
                return one
            if one in RUBOUT:
                self._erase_left()
            elif one == "\x15":
                self._replace("")
            elif one == LEFT and self.at:
                self.at -= 1
                say("\b")
            elif one == RIGHT and self.at < len(self.text):
                say(self.text[self.at])
                self.at += 1
            elif one == UP and place:
                place -= 1
                self._replace(self.history[place])
            elif one == "\t":
                self._complete(prompt)
            elif one == self.help_key:
                self._help(prompt)
            elif one >= " " and len(one) == 1:
                self._insert(one)


IOS_WORDS = (
    "configure terminal",
    "copy running-config startup-config",
    "enable",
    "reload",
    "show clock",
    "show interfaces",
    "show running-config",
    "show version",
    "write memory",
)
IOS_MODES = {
    "configure terminal": "(config)#",
    "conf t": "(config)#",
    "interface": "(config-if)#",
    "int": "(config-if)#",
}


def ios() -> None:
    """A switch with a login, an enable password, a pager, help, and questions."""
    say("\r\n\r\nUser Access Verification\r\n\r\n")
    ask_plain("Username: ")
    ask_secret("Password: ")
    editor, mode = Editor(IOS_WORDS, "?"), ">"
    while True:
        line = editor.read("\r\nsw1" + mode if mode == ">" else "sw1" + mode)
        first = line.split(" ")[0]
        if line in ("en", "enable"):
            ask_secret("Password: ")
            mode = "#"
        elif line == CTRL_Z:
            mode = "#"
            say("*Mar  1 00:12:11.003: %SYS-5-CONFIG_I: Configured from console by alice on console\r\n")
        elif line in IOS_MODES:
            say("Enter configuration commands, one per line.  End with CNTL/Z.\r\n")
            mode = IOS_MODES[line]
        elif first in IOS_MODES:
            mode = IOS_MODES[first]
        elif line == "exit":
            mode = {"(config-if)#": "(config)#", "(config)#": "#"}.get(mode, "")
            if not mode:
                return
        elif line == "reload":
            say("Proceed with reload? [confirm]")
            if key() == ENTER:
                say("\r\n")
                return
            say("\r\n")
        elif line.startswith("copy"):
            ask_plain("Destination filename [startup-config]? ")
            say("Building configuration...\r\n[OK]\r\n")
        elif line.startswith(("sh", "do sh")):
            rows = [f"GigabitEthernet1/0/{number}  unassigned  YES NVRAM  down  down" for number in range(1, 19)]
            page(rows, " --More-- ", "\b" * 10 + " " * 10 + "\b" * 10)
        elif line and not first.startswith(("descr", "no", "wr", "debug", "ip", "switch", "vlan", "name")):
            say("    ^\r\n% Invalid input detected at '^' marker.\r\n\r\n")
        elif first == "debug":
            for number in range(3):
                time.sleep(0.02)
                say(f"*Mar  1 00:13:0{number}.101: %LINK-3-UPDOWN: Interface Gi1/0/{number}, changed state to up\r\n")


def junos() -> None:
    """A router that completes words at the space bar, and says where it is before each prompt."""
    editor, mode = (
        Editor(("commit", "configure", "exit", "request system reboot", "show interfaces terse"), "?"),
        "> ",
    )
    while True:
        line = editor.read(f"alice@mx1{mode}")
        if line.startswith("conf"):
            say("Entering configuration mode\r\n\r\n[edit]\r\n")
            mode = "# "
        elif line == "exit" and mode == "# ":
            say("Exiting configuration mode\r\n\r\n")
            mode = "> "
        elif line == "exit":
            return
        elif line.startswith("show"):
            page([f"xe-0/0/{number:<10} up    up" for number in range(20)], "---(more)---", "\r            \r")
        elif line.startswith("request"):
            ask_plain("Reboot the system ? [yes,no] (no) ")
            say("\r\n")
        elif mode == "# ":
            say("commit complete\r\n\r\n[edit]\r\n" if line == "commit" else "\r\n[edit]\r\n")


def routeros() -> None:
    """A router that draws its whole coloured line again at each key."""
    ask_plain("\r\nMikroTik 7.11\r\nLogin: ")
    ask_secret("Password: ", mask="*")
    prompt = "[\x1b[m\x1b[1madmin\x1b[m@\x1b[1mMikroTik\x1b[m] > "
    words = ("/ip address print", "/system reboot", "/interface print")
    history: list[str] = []
    text, place = "", 0
    say("\r\r" + prompt + "\x1b[K")
    while True:
        one = key()
        if one == ENTER:
            say("\r" + prompt + text + "\x1b[K\r\n")
            if text.strip():
                history.append(text)
            if text == "/quit":
                return
            if "print" in text:
                rows = [f"{number:>2}   10.0.{number}.1/24  ether{number}" for number in range(12)]
                page(rows, "-- [Q quit|D dump|down]", "\r\x1b[K")
            text, place = "", len(history)
        elif one in RUBOUT:
            text = text[:-1]
        elif one == UP and place:
            place -= 1
            text = history[place]
        elif one == "\t":
            found = [word for word in words if word.startswith(text)]
            text = found[0] + " " if len(found) == 1 else text
        elif one >= " " and len(one) == 1:
            text += one
        say("\r" + prompt + "\x1b[1m\x1b[36m" + text + "\x1b[m\x1b[K")


def uboot() -> None:
    """A boot loader with a countdown, and a menu that is drawn by absolute addresses."""
    say("U-Boot 2023.01\r\n\r\nDRAM:  512 MiB\r\nHit any key to stop autoboot:  3 ")
    for left in (2, 1):
        time.sleep(0.05)
        say(f"\b\b\b{left:2d} ")
    key()
    say("\b\b\b 0 \r\n")
    editor = Editor()
    while (line := editor.read("=> ")) != "boot":
        if line == "printenv":
            say("".join(f"var{number}=value{number}\r\n" for number in range(5)))
        elif line == "bootmenu":
            chosen = 0
            say("\x1b[2J\x1b[?25l")
            while True:
                say("\x1b[2;1H  *** U-Boot Boot Menu ***\x1b[K")
                for number in range(3):
                    look = "\x1b[7m" if number == chosen else ""
                    say(f"\x1b[{number + 4};1H     {look}Entry {number}\x1b[0m\x1b[K")
                if key() == ENTER:
                    break
                chosen = (chosen + 1) % 3
            say("\x1b[2J\x1b[1;1H\x1b[?25h")
        elif line and line not in (CTRL_C, "version"):
            say(f"Unknown command '{line}' - try 'help'\r\n" if line.startswith("foo") else "")


def pdu() -> None:
    """A power strip with numbered menus, and a question that takes one key."""
    while True:
        say("\r\n------- Control Console -------\r\n\r\n 1- Device Manager\r\n 2- Network\r\n 3- Outlet\r\n\r\n")
        choice = ask_plain(" <ESC>- Back, <ENTER>- Refresh\r\n> ")
        if choice == "3":
            say("Press Y to switch outlet 3 off, any other key to keep it on: ")
            say(key() + "\r\nOutlet 3 off\r\n")
        if choice == "4":
            return


def instrument() -> None:
    """An instrument that echoes nothing, and answers questions."""
    text = ""
    while True:
        one = key()
        if one != ENTER:
            text += one
            continue
        if text == "*IDN?":
            say("ACME,PSU-3000,12345,1.0\r\n")
        elif text.endswith("?"):
            say("3.30000\r\n")
        elif text == "exit":
            return
        text = ""


def scrolling_ios() -> None:
    """A switch whose line editor scrolls sideways, with $ at its edge."""
    width = 60
    while True:
        prompt = "core-router-1#"
        say(prompt)
        text, shift = "", 0
        while (one := key()) != ENTER:
            text += one
            if len(prompt) + len(text) - shift >= width:
                shift += 20
                shown = "$" + text[shift + 1 :]
                say("\b" * (width - len(prompt) - 1) + shown + " " * 19 + "\b" * 19)
            else:
                say(one)
        say("\r\n")
        if text == "exit":
            return


def noisy_console() -> None:
    """A console on which the kernel writes in the middle of a line."""
    editor = Editor()
    say("\r\nLinux localhost 6.1.0\r\n")
    while (line := editor.read("# ")) != "exit":
        if line == "noise":
            for number in range(4):
                time.sleep(0.03)
                say(f"\r\n[  123.{number:06d}] usb 1-1: new high-speed USB device number {number}\r\n")
        elif line == "late":
            time.sleep(0.2)
            say("done\r\n")
        elif line:
            say(f"sh: {line}: done\r\n")


def bmc() -> None:
    """A management controller that masks a password with stars, and wraps long lines itself."""
    ask_plain("bmc login: ")
    ask_secret("password: ", mask="*")
    while (line := ask_plain("/admin1-> ")) != "exit":
        if line.startswith("set password"):
            ask_secret("New password: ", mask="*")
            ask_secret("Confirm: ", mask="*")
        if line.startswith("show"):
            say("  /admin1\r\n  Targets\r\n    system1\r\n    sol1\r\n\r\n")
        say("status : 0\r\nstatus_tag : COMMAND COMPLETED\r\n\r\n")


def arista() -> None:
    """A switch that completes and lists words at once, shows its answers with a pager, and counts its prompts."""
    words = ("configure", "copy running-config startup-config", "show interfaces status", "show version", "write")
    ask_plain("\r\nlocalhost login: ")
    ask_secret("Password: ")
    say("Last login: Mon Nov 30 10:00:00 on ttyS0\r\n")
    text, mode, history = "", ">", list[str]()
    say("\rlocalhost>")
    while True:
        one = key()
        prompt = "localhost" + mode
        if one == "?":
            say("\r\n" + "".join(f"  {word}\r\n" for word in words if word.startswith(text)) + prompt + text)
        elif one == "\t":
            found = [word for word in words if word.startswith(text)]
            if len(found) == 1:
                say(found[0][len(text) :] + " ")
                text = found[0] + " "
            else:
                say("\r\n" + "  ".join(found) + "\r\n" + prompt + text)
        elif one == UP and history:
            text = history[-1]
            say(f"\r\x1b[K{prompt}{text}")
        elif one in RUBOUT:
            text = text[:-1]
            say("\b\x1b[K")
        elif one != ENTER:
            text += one
            say(one)
        else:
            say("\r\n")
            history += [text] if text.strip() else []
            if text.startswith("show"):
                page(
                    [f"Et{number}   connected  1  full  10G" for number in range(20)],
                    "\x1b[7m--More--\x1b[m",
                    "\r\x1b[K",
                )
            if text == "exit":
                return
            mode = {"enable": "#", "configure": "(config)#", "end": "#"}.get(text.strip(), mode)
            say("localhost" + mode)
            text = ""


def vrp() -> None:
    """A router whose pager erases its question with cursor movements, and that shows alarms between commands."""
    editor, mode = Editor(("display version", "display interface", "quit", "save", "system-view"), "?"), "<R1>"
    say("\r\nInfo: The max number of VTY users is 5.\r\n")
    while True:
        line = editor.read(mode)
        if line == "system-view":
            say("Enter system view, return user view with Ctrl+Z.\r\n")
            mode = "[R1]"
        elif line.startswith("interface"):
            mode = "[R1-GigabitEthernet0/0/1]"
        elif line in ("quit", CTRL_Z) and mode != "<R1>":
            mode = "<R1>"
        elif line == "quit":
            return
        elif line.startswith("dis"):
            page(
                [f"GE0/0/{number} up up 0% 0%" for number in range(20)],
                "  ---- More ----",
                "\x1b[16D" + " " * 16 + "\x1b[16D",
            )
        elif line == "save":
            say("The current configuration will be written. Are you sure to continue? (y/n)[n]:")
            say(key() + "\r\nInfo: Save the configuration successfully.\r\n")
        else:
            say("\r\nNov 30 2026 10:00:00 R1 %%01IFNET/4/LINK_STATE(l)[0]: The line protocol turned up.\r\n")


def getty() -> None:
    """A host's console: a login, a message of the day, and kernel messages between commands."""
    say("\r\nDebian GNU/Linux 12 host ttyS0\r\n\r\n")
    user = ask_plain("host login: ")
    ask_secret("Password: ")
    say("Linux host 6.1.0-13-amd64 #1 SMP\r\n\r\nLast login: Sun Nov 29 on ttyS0\r\n")
    editor = Editor()
    while (line := editor.read(f"{user}@host:~$ ")) != "logout":
        if line == "sudo id":
            ask_secret(f"[sudo] password for {user}: ")
            say("uid=0(root) gid=0(root)\r\n")
        elif line:
            say("".join(f"[ 12.{number:06d}] usb 1-{number}: new device\r\n" for number in range(3)))


KINDS: dict[str, Callable[[], None]] = {
    one.__name__: one
    for one in (ios, junos, routeros, uboot, pdu, instrument, scrolling_ios, noisy_console, bmc, arista, vrp, getty)
}

if __name__ == "__main__":
    tty.setraw(0)
    KINDS[sys.argv[1]]()
