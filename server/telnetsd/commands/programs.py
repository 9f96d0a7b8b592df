"""Configured commands: a program of the operator's, run with what was typed behind the command's name.

There is no shell: the words are the program's own, and behind them those that were typed, each made of characters
that the operator allows, none of which begins with a dash. The program has a clean environment, no input and a time
limit; its output goes to the session as it comes, bounded, and without what would steer a terminal. Its exit status
is on the log.
"""

import asyncio
import codecs
import contextlib
import os
import shlex
import shutil
import signal
from collections.abc import Iterable
from typing import Final

from telnetsd.audit.reason import CommandReason, ProgramReason
from telnetsd.commands.caller import Caller
from telnetsd.commands.table import Command, CommandError
from telnetsd.config.settings import ProgramSettings
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape_controls
from telnetsd.identity.outcome import NamedUser
from telnetsd.racing import unless

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
READ_BYTES: Final = 8192
KILL_S: Final = 1.0


def make_commands(settings: Iterable[ProgramSettings]) -> list[Command]:
    """Make a command of each `[[command]]` entry.

    Args:
        settings: The entries.
    Raises:
        OperatorError: One cannot be; the message names it.
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
        raise OperatorError(f"{where}: no program {settings.exec!r} that can be run")
    own = (program, *words[1:])

    def check(_: Caller, arguments: str) -> None:
        _check_words(settings, arguments.split())

    async def run(caller: Caller, arguments: str) -> None:
        await _run(settings, own + tuple(arguments.split()), caller)

    usage = f"[ARGUMENT … {settings.arguments_max}]" if settings.arguments_max else ""
    return Command(
        settings.name,
        settings.summary,
        usage,
        "",
        run,
        arguments_max=settings.arguments_max,
        check=check,
        roles=settings.roles,
    )


def _check_words(settings: ProgramSettings, words: list[str]) -> None:
    allowed = frozenset(settings.argument_characters)
    for word in words:
        if word.startswith("-") or not allowed.issuperset(word):
            message = f"{settings.name} takes words of {settings.argument_characters}, and none that begins with -"
            raise CommandError(CommandReason.WRONG_USAGE, message)


async def _run(settings: ProgramSettings, words: tuple[str, ...], caller: Caller) -> None:
    user = caller.identity.name if isinstance(caller.identity, NamedUser) else ""
    environment = {"PATH": PATH, "TELNETSD_USER": user, "TELNETSD_SESSION": caller.id}
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise CommandError(ProgramReason.NOT_STARTED, f"{settings.name} cannot be started: {why.lower()}") from error
    try:
        async with asyncio.timeout(settings.timeout_s):
            is_whole = await _show_until_gone(process, settings.output_max_bytes, caller)
    except TimeoutError as error:
        message = f"{settings.name} took longer than {settings.timeout_s:g} s, and was ended"
        raise CommandError(ProgramReason.TIMEOUT, message) from error
    finally:
        await _end(process)
    if not is_whole:
        message = f"{settings.name} said more than {settings.output_max_bytes} bytes, and was ended"
        raise CommandError(ProgramReason.OUTPUT_TOO_LONG, message)
    status = process.returncode
    if status:
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        raise CommandError(ProgramReason.FAILED, f"{settings.name} has failed: {how}", exit_status=status)


async def _show_until_gone(process: asyncio.subprocess.Process, max_bytes: int, caller: Caller) -> bool:
    """Pass the output on until the program ends, while the client is there; False when it is too long.

    Raises:
        ConnectionError: The client has gone.
    """
    is_whole = await unless(caller.wait_gone(), _show(process, max_bytes, caller))
    if is_whole is None:
        raise ConnectionResetError("the client has gone")
    return is_whole


async def _show(process: asyncio.subprocess.Process, max_bytes: int, caller: Caller) -> bool:
    """Pass a program's output on as lines, as fast as the client takes it; False when it is too long."""
    decode, left, line = codecs.getincrementaldecoder("utf-8")("replace").decode, max_bytes, ""
    if process.stdout is None:
        return True
    while data := await process.stdout.read(READ_BYTES):
        left -= len(data)
        *lines, line = (line + decode(data)).replace("\r\n", "\n").split("\n")
        for one in lines:
            caller.say(escape_controls(one))
        await caller.show_said()
        if left < 0:
            return False
    if line:
        caller.say(escape_controls(line))
    await process.wait()
    return True


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave nothing behind of a program and of what it started."""
    for one in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, one)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), KILL_S)
