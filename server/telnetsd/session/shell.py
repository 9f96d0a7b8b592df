"""Turn a line into a command: authorise it, record it and run it, in this order.

A command runs only after its event is on disk. If the log cannot be written, the command is refused with a message. A
command may ask for more lines: they are the answer to its question, and only that command receives them.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import Trail
from telnetsd.commands.caller import Caller, Question
from telnetsd.commands.completion import completions
from telnetsd.commands.enrolment_service import EnrolmentError
from telnetsd.commands.table import NAME_MAX_CHARS, CommandError
from telnetsd.escaping import escape
from telnetsd.events.event import Event
from telnetsd.events.fields import GUEST_LINE_MAX_CHARS, LINE_MAX_CHARS
from telnetsd.events.of_sessions import CommandDenied, CommandExecuted, CommandFailed
from telnetsd.events.reason import CommandReason
from telnetsd.identity.outcome import NamedUser
from telnetsd.lines.table import LineDeniedError, LineError
from telnetsd.session.greeting import AUDIT_UNAVAILABLE
from telnetsd.session.journal import Journal
from telnetsd.session.pasted_block import BLOCK_BEGIN, BLOCK_END, IGNORED, PastedBlock

HISTORY_LINES: Final = 50
HISTORY_LINE_MAX_CHARS: Final = 200
FAILED: Final = 1
GIVE_UP: Final = "."
ANSWER_LINES_MAX: Final = 512

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Answer:
    """The lines so far of an answer to a question, and the command line that led to it."""

    question: Question
    name: str
    line: str
    lines: list[str] = field(default_factory=list)
    count: int = 0
    size: int = 0


class Shell:
    """Runs the lines of one session.

    Args:
        caller: The session.
        who: The user's name, or `guest`, for the log's messages.
        trail: Bound to the session.
        journal: The session's journal, for the operator's terminal.
        is_over: Tells whether the session has ended; no command runs then.
    """

    def __init__(self, caller: Caller, who: str, trail: Trail, journal: Journal, is_over: Callable[[], bool]) -> None:
        self._caller = caller
        self._who = who
        self._trail = trail
        self._journal = journal
        self._is_over = is_over
        self.history: deque[str] | tuple[()] = ()
        """The last lines, escaped, the oldest first; a session needs no memory for them before its first line."""
        self._running: tuple[str, str] = ("", "")
        self._answer: _Answer | None = None
        self._block: PastedBlock | None = None
        self.exit_status = 0
        """Of the last command: 0 if it has done its work, 1 if it was denied or failed; a program's own."""
        self.failure: StrEnum | None = None
        """Why the last command was denied, or failed."""

    @property
    def is_asking(self) -> bool:
        """Whether the next line is the answer to a question."""
        return self._answer is not None

    def prompt_for(self, prompt: str) -> str:
        """Return what is shown before the next line: the prompt for commands, or the prompt of a question."""
        if self._answer is not None:
            return self._answer.question.prompt
        return "" if self._block is not None else prompt

    def ask(self, question: Question) -> None:
        """Use the next lines as the answer to a question of the running command."""
        self._answer = _Answer(question=question, name=self._running[0], line=self._running[1])

    async def give_up_answer(self) -> None:
        """Forget the question, and the rest of a pasted block: the next line is a command."""
        self._answer = None
        await self.end_block()

    async def end_block(self) -> None:
        """Record the pasted block that is being ignored, if there is one; the next line is a command."""
        block, self._block = self._block, None
        if block is not None:
            shown, message = self._shown(block.shown, CommandReason.UNEXPECTED_TEXT)
            name = escape(_split(shown)[0], NAME_MAX_CHARS)
            await self._record(
                CommandDenied(reason=CommandReason.UNEXPECTED_TEXT, message=message, name=name, line=shown)
            )

    async def completions(self, before: str) -> Sequence[str]:
        """Return the words that the last word of a line may become; `before` is the line up to the cursor."""
        return () if self._answer is not None else await completions(self._caller, before)

    async def interpret(self, line: str) -> None:
        """Run a line, or show why it cannot run."""
        if self._answer is not None:
            await self._take_answer(self._answer, line)
        elif not await self._is_dropped(line):
            await self._interpret_command(line)

    async def _interpret_command(self, line: str) -> None:
        name, arguments = _split(line)
        if not name:
            return
        self.exit_status, self.failure = 0, None
        # From here on, `line` is only what the log may contain; the command gets the full arguments.
        line = self._caller.services.table.shown(f"{name} {arguments}".rstrip())
        self.history = self.history or deque(maxlen=HISTORY_LINES)
        self.history.append(escape(line, HISTORY_LINE_MAX_CHARS))
        try:
            found = self._caller.services.table.authorise(name, self._caller.identity)
            found.check_arguments(arguments)
            found.check(self._caller, arguments)
            self._check_record(line)
        except (CommandError, LineDeniedError) as denied:
            await self.deny(line, denied.reason, str(denied))
            return
        shown = escape(line, LINE_MAX_CHARS)
        if not await self._record(CommandExecuted(message=f"{self._who}: {shown}", name=found.name, line=shown)):
            return
        if self._is_over():
            # The session was ended while the event was being written.
            await self._record_failure(CommandReason.SESSION_ENDED, line, found.name)
            return
        self._journal.debug("runs %s", found.name)
        await self._run(found.name, line, lambda: found.handler(self._caller, arguments))

    @staticmethod
    def _check_record(line: str) -> None:
        """Refuse a command if its event would not contain the full line: only a command that the log shows may run.

        Raises:
            CommandError: The line is too long for the log.
        """
        if len(escape(line, LINE_MAX_CHARS + 1)) > LINE_MAX_CHARS:
            limit = f"the log accepts {LINE_MAX_CHARS} characters, with unprintable ones escaped"
            raise CommandError(CommandReason.LINE_TOO_LONG, f"too long: {limit}; shorten the line")

    async def deny(self, line: str, reason: StrEnum, sentence: str) -> None:
        """Refuse a line: record an event, and show `sentence` to the user."""
        name = escape(_split(line)[0], NAME_MAX_CHARS)
        self.exit_status, self.failure = FAILED, reason
        self._journal.debug("is denied %s (%s)", name or "a line", reason)
        shown, message = self._shown(line, reason)
        if await self._record(CommandDenied(reason=reason, message=message, name=name, line=shown)):
            self._caller.say(sentence)

    async def _is_dropped(self, line: str) -> bool:
        """Tell whether a line is part of an unexpected pasted block: it may be a secret, and is not logged."""
        if self._block is not None:
            self._block.take(line)
            if self._block.is_over:
                await self.end_block()
            return True
        if BLOCK_BEGIN in line:
            self._block, self.exit_status = PastedBlock(line), FAILED
            self._caller.say(IGNORED)
            if self._block.is_over:
                await self.end_block()
            return True
        return False

    async def _take_answer(self, answer: _Answer, line: str) -> None:
        """Add a line to an answer: cheaply, since a client may send thousands."""
        answer.count += 1
        answer.size += len(line.encode()) + 1
        if line.strip() == GIVE_UP:
            await self._give_up(answer, "cancelled")
        elif answer.size > answer.question.max_bytes or answer.count > ANSWER_LINES_MAX:
            # The rest of a pasted block is not a command.
            first = next((one for one in (*answer.lines[:1], line) if BLOCK_BEGIN in one), "")
            is_block = bool(first) and BLOCK_END not in line
            self._block = PastedBlock(first) if is_block else None
            limit = f"at most {answer.question.max_bytes} bytes are accepted"
            rest = "; ignored up to its end line or a single dot" if is_block else ""
            await self._give_up(answer, f"too long: {limit}{rest}")
        elif line.strip():
            answer.lines.append(line.strip())
            await self._run(answer.name, answer.line, lambda: self._go_on(answer))
            if self._answer is None and BLOCK_BEGIN in line and BLOCK_END not in line:
                # The question is over after the first line of a block: the rest is neither its answer nor a command.
                self._block = PastedBlock(line)
                self._caller.say(IGNORED)

    async def _go_on(self, answer: _Answer) -> None:
        """Pass a complete answer to its command, or wait for more lines of it."""
        self._answer = None
        if answer.question.is_last(answer.lines[-1], len(answer.lines) == 1):
            await answer.question.then("\n".join(answer.lines))
        else:
            self._answer = answer

    async def _give_up(self, answer: _Answer, sentence: str) -> None:
        self._answer = None
        self._caller.say(sentence)
        await self._record_failure(CommandReason.GIVEN_UP, answer.line, answer.name)

    async def _run(self, name: str, line: str, run: Callable[[], Awaitable[None]]) -> None:
        self._running = (name, line)
        try:
            await run()
        except CommandError as failed:
            self._caller.say(str(failed))
            await self._record_failure(failed.reason, line, name, failed.exit_status)
        except (EnrolmentError, LineDeniedError, LineError) as failed:
            self._caller.say(str(failed))
            await self._record_failure(failed.reason, line, name)
        except ConnectionError:
            # The client disconnected while the command ran; the session's next read detects that.
            await self._record_failure(CommandReason.SESSION_ENDED, line, name)
        except AuditUnavailableError:
            self._caller.say(AUDIT_UNAVAILABLE)
            self.exit_status = FAILED
        except Exception:
            # A command may come from another package: its fault ends the command, not the session.
            logger.exception("command %s failed", name)
            self._caller.say(f"{name} failed; the operator can find the cause in the server's output")
            await self._record_failure(CommandReason.INTERNAL_ERROR, line, name)

    async def _record_failure(self, reason: StrEnum, line: str, name: str, exit_status: int | None = None) -> None:
        self.exit_status, self.failure = FAILED if exit_status is None else _shell_status(exit_status), reason
        shown, message = self._shown(line, reason)
        event = CommandFailed(reason=reason, message=message, name=name, line=shown, exit_status=exit_status)
        await self._record(event)

    def _shown(self, line: str, reason: StrEnum) -> tuple[str, str]:
        """Return a line as the log shows it, and the message of its event."""
        # A command that runs is logged in full; for a refused line of a guest, the beginning is enough.
        is_full = isinstance(self._caller.identity, NamedUser)
        shown = escape(line, LINE_MAX_CHARS if is_full else GUEST_LINE_MAX_CHARS)
        return shown, f"{self._who}: {' '.join(filter(None, (shown, f'({reason.value})')))}"

    async def _record(self, event: Event) -> bool:
        """Write the event of a line; if that fails, show a message to the user and return False."""
        try:
            await self._trail.record(event)
        except AuditUnavailableError:
            self._caller.say(AUDIT_UNAVAILABLE)
            self.exit_status = FAILED
            return False
        return True


def _split(line: str) -> tuple[str, str]:
    """Split a line into the command's name and the rest of the line; both may be empty."""
    name, *rest = line.split(None, 1) or [""]
    return name, rest[0].rstrip() if rest else ""


def _shell_status(exit_status: int) -> int:
    """Return a program's exit status as shells show it: 128 and the number of the signal that ended it."""
    return exit_status if exit_status >= 0 else 128 - exit_status
