"""Commands are found in the order in which input and output pass, however many sessions look on."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, cast

import pytest

from support.machine import DEADLINE_S
from telnetsd.audit.trail import make_trail
from telnetsd.config.settings import LineSettings
from telnetsd.events.part import Fields
from telnetsd.events.reason import LineReason
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.lines.line_commands import EVENTS_PER_S, UNWRITTEN_MAX, LineCommands
from telnetsd.lines.participants import Participant, Participants
from telnetsd.lines.table import LineTable
from telnetsd.lines.traffic import Traffic
from telnetsd.telnet.terminal import Terminal

real_sleep = asyncio.sleep


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


class Slow(Log):
    """A log that writes nothing before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.may_write = asyncio.Event()

    def put(self, event: Fields) -> Awaitable[None]:
        self.commands.append(event["telnetsd"]["line"]["command"])
        return cast("Awaitable[None]", self.may_write.wait())


def commands_of(log: Log) -> tuple[LineCommands, Participant]:
    """Return the commands of a line without an upstream, and a participant."""
    line = LineTable((LineSettings(name="a", target="tcp://a:1", record=True),), Path()).find("a")
    assert line is not None
    return LineCommands(line, Terminal(), lambda: None), cast("Participant", Person("bob", log))


def type_commands(commands: LineCommands, bob: Participant, count: int) -> None:
    commands.show(b"# ")
    for number in range(count):
        commands.type(bob, f"ls {number}\r".encode())
        commands.show(f"ls {number}\r\n# ".encode())


async def reach(log: Log, count: int) -> None:
    """Wait until so many commands have reached the log."""
    async with asyncio.timeout(DEADLINE_S):
        while len(log.commands) < count:
            await real_sleep(0.001)


async def test_a_fast_typist_waits_but_a_line_that_closes_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    commands, bob = commands_of(log)
    is_closing, paused = False, list[bool]()

    async def sleep(seconds: float) -> None:
        if seconds >= 1:
            paused.append(is_closing)
        await real_sleep(0)

    monkeypatch.setattr("telnetsd.lines.line_commands.asyncio.sleep", sleep)
    type_commands(commands, bob, 4 * EVENTS_PER_S)
    await reach(log, 2 * EVENTS_PER_S)
    is_closing = True
    await commands.close()

    assert log.commands == [f"ls {number}" for number in range(4 * EVENTS_PER_S)]
    assert False in paused
    assert paused.count(True) <= 1


async def test_a_log_that_cannot_keep_up_bounds_what_waits_for_it() -> None:
    log = Slow()
    commands, bob = commands_of(log)
    type_commands(commands, bob, 200)
    await reach(log, UNWRITTEN_MAX + 1)
    for _ in range(100):
        await asyncio.sleep(0)
    count = len(log.commands)
    log.may_write.set()
    await commands.close()

    assert count == UNWRITTEN_MAX + 1
    assert len(log.commands) == 200


async def test_output_of_a_kept_open_line_does_not_wait_long_for_a_log_that_stands_still() -> None:
    log = Slow()
    commands, bob = commands_of(log)
    shown = b""

    def show(data: bytes) -> None:
        nonlocal shown
        shown += data

    settings = LineSettings(name="a", target="tcp://a:1", record=True)
    people = Participants[Participant]("a", is_shared=True, writer=cast("Participant", Person("eve", log, show)))
    traffic = Traffic(settings, people, lambda _: None, lambda _: None)
    traffic.commands, traffic.patience_s = commands, 0.01
    type_commands(commands, bob, 400)

    class Panic:
        def __init__(self) -> None:
            self.left = [b"kernel panic\r\n", b""]

        async def read(self) -> bytes:
            return self.left.pop(0)

    await traffic.pump(cast("Upstream", Panic()))
    log.may_write.set()
    await commands.close()

    assert shown == b"kernel panic\r\n"


async def test_many_changes_of_the_window_take_no_room() -> None:
    log = Slow()
    commands, bob = commands_of(log)
    type_commands(commands, bob, 200)
    await reach(log, UNWRITTEN_MAX + 1)

    before = len(commands._queue)
    for number in range(100_000):
        commands.resize(Terminal(columns=80 + number % 50))

    assert len(commands._queue) <= before + 1
    log.may_write.set()
    await commands.close()
