"""From a line to a command: a command runs only if it is permitted, recorded, and still wanted."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import make_trail
from telnetsd.commands.caller import Caller, Question, Services
from telnetsd.commands.enrolment_service import Applicant, EnrolmentService
from telnetsd.commands.table import Command, CommandTable, command
from telnetsd.events.part import Fields
from telnetsd.events.reason import CertificateStatus, GuestReason
from telnetsd.identity.outcome import Guest, NamedUser
from telnetsd.lines.context import LineContext
from telnetsd.lines.directory import LocalDirectory
from telnetsd.lines.table import Line, LineTable
from telnetsd.pki.facts import CertificateFacts
from telnetsd.rpc.messages import Join
from telnetsd.session.greeting import AUDIT_UNAVAILABLE
from telnetsd.session.journal import Journal
from telnetsd.session.registry import SessionRegistry
from telnetsd.session.shell import Shell
from telnetsd.tls.engine import TlsDetails


class Disk:
    """A sink that writes when the test allows it, or fails."""

    def __init__(self) -> None:
        self.events: list[Fields] = []
        self.is_full = False
        self.may_write = asyncio.Event()
        self.may_write.set()

    def put(self, event: Fields) -> Awaitable[None]:
        return self._put(event)

    async def _put(self, event: Fields) -> None:
        await self.may_write.wait()
        if self.is_full:
            raise AuditUnavailableError("full")
        self.events.append(event)

    def told(self) -> list[tuple[str, str]]:
        return [(event["event"]["action"], event["event"]["reason"]) for event in self.events]


class Person:
    """A guest at a session."""

    id = source = "x"
    identity: Guest | NamedUser = Guest(GuestReason.NO_CERTIFICATE, CertificateStatus.NONE, None)
    started_at = datetime.now(UTC)
    tls = TlsDetails(version="1.3", cipher="", group="", resumed=False, server_name="")
    history: tuple[str, ...] = ()
    interpreter: Shell

    def __init__(self, table: CommandTable) -> None:
        enrolment, lines = cast(EnrolmentService, None), LineTable((), Path())
        self.services = Services(
            sessions=SessionRegistry(),
            table=table,
            motd="",
            audit_file=Path(),
            enrolment=enrolment,
            nodes=None,
            renewal_window_days=30,
            lines=lines,
            directory=LocalDirectory(
                LineContext(trail=make_trail(Disk()), tell_operators=lambda _: None, recordings=Path())
            ),
            recordings_folder=Path(),
            authority_pem="",
        )
        self.said: list[str] = []
        self.is_over = False

    @property
    def applicant(self) -> Applicant:
        return Applicant("", b"", {})

    async def connect(self, line: Line, join: Join) -> None:
        raise AssertionError("there are no lines here")

    def note_request(self, request_id: str) -> None:
        raise AssertionError("there is no enrolment here")

    def ask(self, question: Question) -> None:
        self.interpreter.ask(question)

    def say(self, text: str) -> None:
        self.said.append(text)

    async def show_said(self) -> None:
        pass

    async def wait_gone(self) -> None:
        pass

    def leave(self) -> None:
        self.is_over = True


def made(*commands: Command) -> tuple[Shell, Person, Disk]:
    person, disk = Person(CommandTable(commands, {})), Disk()
    person.interpreter = Shell(person, "guest", make_trail(disk), Journal("0" * 36), lambda: person.is_over)
    return person.interpreter, person, disk


RAN: list[str] = []


@pytest.fixture(autouse=True)
def _forget() -> None:
    RAN.clear()


@command("note", summary="note it", role="guest", arguments=(0, 9))
async def note(caller: Caller, arguments: str) -> None:
    RAN.append(arguments)
    caller.say("noted")


async def test_a_command_does_not_run_before_its_event_is_on_disk() -> None:
    interpreter, person, disk = made(note)
    disk.may_write.clear()
    running = asyncio.ensure_future(interpreter.interpret("note a  b "))
    for _ in range(5):
        await asyncio.sleep(0)
    assert RAN == []
    disk.may_write.set()
    await running
    assert RAN == ["a  b"]
    assert person.said == ["noted"]
    assert disk.told() == [("command-executed", "permitted")]


async def test_a_command_whose_event_cannot_be_written_does_not_run() -> None:
    interpreter, person, disk = made(note)
    disk.is_full = True
    await interpreter.interpret("note")
    assert RAN == []
    assert person.said == [AUDIT_UNAVAILABLE]


async def test_a_refusal_that_cannot_be_recorded_reports_that_instead() -> None:
    interpreter, person, disk = made(note)
    disk.is_full = True
    await interpreter.interpret("nonsense")
    assert person.said == [AUDIT_UNAVAILABLE]


async def test_a_command_does_not_run_if_the_session_ended_while_its_event_was_written() -> None:
    interpreter, person, disk = made(note)
    disk.may_write.clear()
    running = asyncio.ensure_future(interpreter.interpret("note"))
    await asyncio.sleep(0)
    person.is_over = True
    disk.may_write.set()
    await running
    assert RAN == []
    assert disk.told() == [("command-executed", "permitted"), ("command-failed", "session-ended")]


async def test_a_command_that_needs_the_log_and_cannot_write_it_reports_that() -> None:
    @command("kick", summary="needs the log", role="guest")
    async def kick(caller: Caller, _: str) -> None:
        raise AuditUnavailableError("full")

    interpreter, person, _ = made(kick)
    await interpreter.interpret("kick")
    assert person.said == [AUDIT_UNAVAILABLE]


@pytest.mark.parametrize("line", ["", "   ", "\t", "\x0b"])
async def test_an_empty_line_is_ignored(line: str) -> None:
    interpreter, person, disk = made(note)
    await interpreter.interpret(line)
    assert (person.said, disk.told(), list(interpreter.history)) == ([], [], [])


async def test_the_history_is_bounded() -> None:
    interpreter, _, _ = made(note)
    for number in range(100):
        await interpreter.interpret(f"note {number} {'x' * 4000}")
    assert len(interpreter.history) == 50
    assert max(len(line) for line in interpreter.history) == 200


NOBODY = Person.identity
BOB = NamedUser(
    name="bob",
    roles=("user",),
    rule_id="rule",
    certificate=CertificateFacts(sha256=""),
    valid_until=datetime.now(UTC),
)


def logged_lines(disk: Disk) -> list[str]:
    return [event["telnetsd"]["command"]["line"] for event in disk.events]


async def test_an_executed_line_of_a_guest_is_logged_in_full_and_a_denied_one_is_truncated() -> None:
    interpreter, _, disk = made(note)
    await interpreter.interpret("note " + "x" * 1000)
    await interpreter.interpret("nothing " + "x" * 1000)
    assert [len(line) for line in logged_lines(disk)] == [1005, 256]


@pytest.mark.parametrize("who", [NOBODY, BOB])
@pytest.mark.parametrize("space", [" " * 300, "\v" * 2050, "\t\v\f " * 600])
async def test_whitespace_before_an_argument_does_not_hide_it_from_the_log(
    space: str, who: Guest | NamedUser
) -> None:
    interpreter, person, disk = made(note)
    person.identity = who
    await interpreter.interpret(f"{space}note{space}hidden{space}")
    assert RAN == ["hidden"]
    assert logged_lines(disk) == ["note hidden"]


@pytest.mark.parametrize(("who", "space"), [(NOBODY, "\v" * 2050), (BOB, "\v" * 2050), (BOB, "\\" * 4090)])
async def test_a_command_whose_record_would_be_cut_does_not_run(space: str, who: Guest | NamedUser) -> None:
    interpreter, person, disk = made(note)
    person.identity = who
    await interpreter.interpret(f"note shown{space}hidden")
    assert RAN == []
    assert disk.told() == [("command-denied", "line-too-long")]
    (sentence,) = person.said
    assert sentence.startswith("too long: the log accepts")
