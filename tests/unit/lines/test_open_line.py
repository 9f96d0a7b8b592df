"""The writer of a line: it is logged first, and is never a session other than the logged one."""

import asyncio
from collections.abc import Awaitable
from enum import StrEnum
from pathlib import Path

import pytest

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import make_trail
from telnetsd.config.settings import LineSettings
from telnetsd.events.part import Fields
from telnetsd.events.reason import LineReason
from telnetsd.lines.context import LineContext
from telnetsd.lines.directory import LocalPlace
from telnetsd.lines.on_demand import OnDemandLine
from telnetsd.lines.place import Visitor
from telnetsd.lines.table import Line, LineError, LineTable
from telnetsd.rpc.messages import Join
from telnetsd.telnet.terminal import Terminal


class Log:
    """The log, with what was recorded once it could be written."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.fails_for: set[str] = set()

    async def put(self, name: str, event: Fields) -> None:
        await self.may_write.wait()
        if name in self.fails_for:
            raise AuditUnavailableError("full")
        self.told.append((name, event["event"]["reason"]))


class LogOf:
    """The log, for the trail of one participant."""

    def __init__(self, log: Log, name: str) -> None:
        self._log = log
        self._name = name

    def put(self, event: Fields) -> Awaitable[None]:
        return self._log.put(self._name, event)


class Person:
    """A participant of the line."""

    def __init__(self, name: str, log: Log) -> None:
        self.name = name
        self.trail = make_trail(LogOf(log, name))
        self.said: list[str] = []

    def show(self, data: bytes) -> None: ...

    def tell(self, sentence: str) -> None:
        self.said.append(sentence)

    def tell_com_port(self, said: bytes) -> None: ...

    def unread_bytes(self) -> int:
        return 0

    def is_behind(self) -> bool:
        return False

    async def drain(self) -> None: ...

    def dismiss(self, reason: StrEnum, sentence: str) -> None: ...


CONTEXT = LineContext(trail=make_trail(LogOf(Log(), "")), tell_operators=lambda _: None, recordings=Path())


def shared_line() -> Line:
    settings = LineSettings(name="switch", target="tcp://127.0.0.1:1", shared=True)
    line = LineTable((settings,), Path()).find("switch")
    assert line is not None
    return line


@pytest.fixture
def log() -> Log:
    return Log()


def opened(log: Log, *watchers: str) -> tuple[OnDemandLine, Person, list[Person]]:
    writer = Person("writer", log)
    line = OnDemandLine(shared_line(), CONTEXT, writer, lambda _: None)
    others = [Person(name, log) for name in watchers]
    for one in others:
        line.roles.watch(one)
    return line, writer, others


def visit(person: Person) -> Visitor:
    return Visitor(person, Terminal(), "", wants_past=False)


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_without_force_a_slower_session_does_not_displace_the_writer(log: Log) -> None:
    line, writer, (watcher,) = opened(log, "watcher")
    line.leave(writer)
    late = Person("late", log)
    place = LocalPlace(line, visit(late), Join.WRITE)
    log.may_write.clear()
    asking = asyncio.ensure_future(line.roles.ask(watcher))
    await turns()
    entering = asyncio.ensure_future(place.enter())
    await turns()
    log.may_write.set()
    await asyncio.gather(asking, entering)
    assert line.people.writer is watcher
    assert late in line.people.watchers
    assert log.told == [("watcher", "handed-over"), ("late", "watching")]


async def test_of_two_sessions_that_ask_at_once_only_one_is_logged_as_the_writer(log: Log) -> None:
    line, writer, (one, other) = opened(log, "one", "other")
    line.leave(writer)
    log.may_write.clear()
    asking = [asyncio.ensure_future(line.roles.ask(person)) for person in (one, other)]
    await turns()
    log.may_write.set()
    await asyncio.gather(*asking)
    assert line.people.writer is one
    assert log.told == [("one", "handed-over")]
    assert other.said[-1].startswith("another session was faster: one writes to switch")


async def test_a_handover_that_is_only_half_logged_leaves_no_writer(log: Log) -> None:
    line, writer, (asking,) = opened(log, "asking")
    line.people.asking = asking
    log.fails_for = {"asking"}
    await line.roles.hand_over(writer)
    assert log.told == [("writer", "watching")]
    assert line.people.writer is None
    assert writer in line.people.watchers


async def test_a_handover_that_is_not_logged_changes_nothing(log: Log) -> None:
    line, writer, (asking,) = opened(log, "asking")
    line.people.asking = asking
    log.fails_for = {"asking", "writer"}
    await line.roles.hand_over(writer)
    assert line.people.writer is writer
    assert "the writer of switch does not change" in writer.said[-1]
    with pytest.raises(LineError, match="does not change"):
        await line.roles.take_over(Person("operator", log))
    assert line.people.writer is writer
    assert log.told == []


async def test_a_watcher_does_not_become_the_writer_of_a_line_that_accepts_none(log: Log) -> None:
    line, writer, (watcher,) = opened(log, "watcher")
    line.leave(writer)

    def refuse() -> None:
        raise LineError(LineReason.RECORDING_FAILED, "switch must be recorded, but cannot be")

    line.roles._require_open = refuse
    await line.roles.ask(watcher)
    assert line.people.writer is None
    assert watcher.said[-1] == "switch must be recorded, but cannot be"
    assert log.told == []
