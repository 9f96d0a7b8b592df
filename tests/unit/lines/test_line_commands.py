"""Commands are found in the order in which input and output pass, however many sessions look on."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, cast

import pytest

from telnetsd.audit.trail import make_trail
from telnetsd.config.settings import LineSettings
from telnetsd.events.part import Fields
from telnetsd.events.reason import LineReason
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.lines.line_commands import LineCommands
from telnetsd.lines.participants import Participant, Participants
from telnetsd.lines.table import LineTable
from telnetsd.lines.traffic import Traffic
from telnetsd.telnet.terminal import Terminal


class Log:
    """A log that keeps the commands, and writes at once."""

    def __init__(self) -> None:
        self.commands: list[str] = []

    def put(self, event: Fields) -> Awaitable[None]:
        self.commands.append(event["telnetsd"]["line"]["command"])
        return asyncio.sleep(0)


class Person:
    """A participant whose client answers at once."""

    def __init__(self, name: str, log: Log, on_show: Callable[[bytes], None] = lambda _: None) -> None:
        self.name = name
        self.trail = make_trail(log)
        self.show = on_show

    def tell(self, sentence: str) -> None: ...

    def tell_com_port(self, said: bytes) -> None: ...

    def unread_bytes(self) -> int:
        return 0

    def is_behind(self) -> bool:
        return False

    async def drain(self) -> None: ...

    def dismiss(self, reason: LineReason, sentence: str) -> None: ...


class Host:
    """An upstream that asks for a name and a password, which it does not echo, and shows the name later."""

    ANSWERS: Final = {
        b"bob\r": b"bob\r\nPassword: ",
        b"admin\r": b"\r\nWelcome, admin\r\n# ",
        b"id\r": b"id\r\nuid=0\r\n# ",
    }

    def __init__(self) -> None:
        self._shown: asyncio.Queue[bytes] = asyncio.Queue()
        self._shown.put_nowait(b"login: ")

    async def read(self) -> bytes:
        return await self._shown.get()

    def write(self, data: bytes) -> None:
        self._shown.put_nowait(self.ANSWERS[data])

    def local_echo(self, _keys: bytes) -> bytes:
        return b""

    async def drain(self) -> None: ...


@pytest.mark.parametrize("watchers", [0, 3, 8, 16])
async def test_a_password_that_is_typed_at_once_is_not_taken_for_a_later_word(watchers: int) -> None:
    log, host = Log(), Host()
    answers = {b"login: ": b"bob\r", b"Password: ": b"admin\r", b"# ": b"id\r"}
    tasks: list[asyncio.Task[bool]] = []
    is_done = asyncio.Event()

    def answer(shown: bytes) -> None:
        for end, typed in answers.items():
            if shown.endswith(b"uid=0\r\n# "):
                is_done.set()
            elif shown.endswith(end):
                tasks.append(asyncio.get_running_loop().create_task(traffic.type(writer, typed)))

    settings = LineSettings(name="a", target="tcp://a:1", record=True, shared=True)
    line = LineTable((settings,), Path()).find("a")
    assert line is not None
    writer = cast("Participant", Person("bob", log, answer))
    people = Participants[Participant]("a", is_shared=True, writer=writer)
    for number in range(watchers):
        people.watch(cast("Participant", Person(f"watcher {number}", log)))
    traffic = Traffic(settings, people, lambda _: None, lambda _: None)
    traffic.commands = LineCommands(line, Terminal(), traffic.position)
    traffic.upstream = cast("Upstream", host)

    pumping = asyncio.get_running_loop().create_task(traffic.pump(traffic.upstream))
    await is_done.wait()
    await traffic.commands.close()
    pumping.cancel()

    assert log.commands == ["bob", "id"]
