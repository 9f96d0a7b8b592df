"""Configured commands: a program of the operator's, run with the arguments that follow the command's name.

There is no shell. The words are the program's own, followed by those that were typed. A typed word consists of
characters that the operator allows, and does not begin with a dash. The program has a clean environment, no input and
a time limit. Its output goes to the session as it comes, up to a limit, and without characters that control a
terminal. Its exit status is on the log.
"""

import asyncio
import codecs
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from telnetsd.commands.caller import Caller
from telnetsd.commands.table import Command, CommandError
from telnetsd.config.settings import ProgramSettings
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape_controls
from telnetsd.events.reason import CommandReason, ProgramReason
from telnetsd.identity.outcome import NamedUser
from telnetsd.programs.running import PATH, ProgramStart, SupervisedProgram, start_program
from telnetsd.racing import unless
from telnetsd.telnet.turns import turns_of_pumps

READ_BYTES: Final = 2048
"""A millisecond's worth of lines, if each of them is short."""


def make_commands(settings: Iterable[ProgramSettings]) -> list[Command]:
    """Make a command from each `[[command]]` entry.

    Args:
        settings: The entries.
    Raises:
        OperatorError: An entry is wrong; the message names it.
    """
    return [_make_command(one) for one in settings]


def _make_command(settings: ProgramSettings) -> Command:
    where = f"wrong [[command]] {settings.name!r} in telnetsd.toml"
    try:
        words = shlex.split(settings.exec)
    except ValueError as error:
        raise OperatorError(f"{where}: {error}") from error
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise OperatorError(f"{where}: program {settings.exec!r} not found or not executable")
    own = (program, *words[1:])

    def check(_: Caller, arguments: str) -> None:
        _check_words(settings, arguments.split())

    async def run(caller: Caller, arguments: str) -> None:
        words = own + tuple(arguments.split())
        program_run = ProgramRun(
            name=settings.name,
            words=words,
            timeout_s=settings.timeout_s,
            output_max_bytes=settings.output_max_bytes,
        )
        await run_program(program_run, caller)

    usage = f"[ARGUMENT … {settings.arguments_max}]" if settings.arguments_max else ""
    return Command(
        name=settings.name,
        summary=settings.summary,
        usage=usage,
        role="",
        handler=run,
        arguments_max=settings.arguments_max,
        check=check,
        roles=settings.roles,
    )


def _check_words(settings: ProgramSettings, words: list[str]) -> None:
    allowed = frozenset(settings.argument_characters)
    for word in words:
        if word.startswith("-") or not allowed.issuperset(word):
            message = f"{settings.name} accepts arguments of {settings.argument_characters}, none beginning with -"
            raise CommandError(CommandReason.WRONG_USAGE, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramRun:
    """A program that is run for a session.

    Attributes:
        name: The command, for messages.
        words: The program and its arguments.
        timeout_s: How long it may take.
        output_max_bytes: How much it may show.
    """

    name: str
    words: tuple[str, ...]
    timeout_s: float
    output_max_bytes: int


async def run_program(run: ProgramRun, caller: Caller) -> None:
    """Run a program, and show its output as it comes.

    Raises:
        CommandError: It cannot be started, fails, or exceeds a limit.
        ConnectionError: The client has disconnected.
    """
    user = caller.identity.name if isinstance(caller.identity, NamedUser) else ""
    environment = {"PATH": PATH, "TELNETSD_USER": user, "TELNETSD_SESSION": caller.id}
    try:
        program, output = await _start(ProgramStart(run.words, environment))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise CommandError(ProgramReason.NOT_STARTED, f"{run.name} cannot be started: {why.lower()}") from error
    try:
        async with asyncio.timeout(run.timeout_s):
            status = await _show_until_gone(program, output.reader, run.output_max_bytes, caller)
    except TimeoutError as error:
        message = f"{run.name} exceeded its time limit of {run.timeout_s:g} s and was stopped"
        raise CommandError(ProgramReason.TIMEOUT, message) from error
    finally:
        output.transport.close()
        await program.end(signal.SIGTERM)
    if status is None:
        message = f"{run.name} exceeded its output limit of {run.output_max_bytes} bytes and was stopped"
        raise CommandError(ProgramReason.OUTPUT_TOO_LONG, message)
    if status:
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise CommandError(ProgramReason.FAILED, f"{run.name} failed: {how}", exit_status=status)


@dataclass(frozen=True, slots=True)
class _Output:
    """The output of a program: this end of the pipe is closed with the transport."""

    reader: asyncio.StreamReader
    transport: asyncio.ReadTransport


async def _start(start: ProgramStart) -> tuple[SupervisedProgram, _Output]:
    """Start a program without input, whose output can be read.

    Raises:
        OSError: The program cannot be started.
    """
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader(limit=READ_BYTES)
    pipe = os.fdopen(ours, "rb", buffering=0)
    try:
        program = start_program(start, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT)
        os.close(theirs)
        theirs = -1
        await program.require_started()
    except BaseException:
        pipe.close()
        raise
    finally:
        if theirs >= 0:
            os.close(theirs)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    return program, _Output(reader, transport)


async def _show_until_gone(
    program: SupervisedProgram, output: asyncio.StreamReader, max_bytes: int, caller: Caller
) -> int | None:
    """Pass the output on until the program ends or the client disconnects; return the status, or None if too long.

    Raises:
        ConnectionError: The client has disconnected.
    """
    shown = await unless(caller.wait_gone(), _show(program, output, max_bytes, caller))
    if shown is None:
        raise ConnectionResetError("the client has disconnected")
    is_whole, status = shown
    return status if is_whole else None


async def _show(
    program: SupervisedProgram, output: asyncio.StreamReader, max_bytes: int, caller: Caller
) -> tuple[bool, int]:
    """Pass a program's output on as lines, as fast as the client reads; return whether it was all, and the status."""
    decode, left, line = codecs.getincrementaldecoder("utf-8")("replace").decode, max_bytes, ""
    turns = turns_of_pumps()
    while data := await output.read(READ_BYTES):
        await turns.wait()
        left -= len(data)
        *lines, line = (line + decode(data)).replace("\r\n", "\n").split("\n")
        for one in lines:
            caller.say(escape_controls(one))
        await caller.show_said()
        if left < 0:
            return False, 0
    if line:
        caller.say(escape_controls(line))
    return True, await program.wait()
