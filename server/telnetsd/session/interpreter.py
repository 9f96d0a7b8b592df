"""From a line to a command: authorised, recorded, run, in this order.

A command runs only after its event is on disk. When the log cannot be written it is refused, in words.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from telnetsd.audit.escaping import escape
from telnetsd.audit.event import LINE_MAX_CHARS, Action
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.record import Trail
from telnetsd.commands.caller import Caller
from telnetsd.commands.table import NAME_MAX_CHARS, Command, CommandError, CommandReason
from telnetsd.session.greeting import AUDIT_UNAVAILABLE

HISTORY_LINES: Final = 50
HISTORY_LINE_MAX_CHARS: Final = 200

logger = logging.getLogger(__name__)


class Interpreter:
    """Runs the lines of one session.

    Args:
        caller: The session.
        who: The user's name, or `guest`, for the log's messages.
        trail: Bound to the session.
        is_over: Tells whether the session was ended; nothing runs then.
    """

    def __init__(self, caller: Caller, who: str, trail: Trail, is_over: Callable[[], bool]) -> None:
        self._caller = caller
        self._who = who
        self._trail = trail
        self._is_over = is_over
        self.history: deque[str] = deque(maxlen=HISTORY_LINES)
        """The last lines, escaped, the oldest first."""

    async def interpret(self, line: str) -> None:
        """Run what a line says, or say why not."""
        name, arguments = _split(line)
        if not name:
            return
        self.history.append(escape(line, HISTORY_LINE_MAX_CHARS))
        try:
            found = self._caller.services.table.authorise(name, self._caller.identity.roles)
            found.check_arguments(arguments)
        except CommandError as denied:
            await self.deny(line, denied.reason, str(denied))
            return
        if not await self._record(Action.COMMAND_EXECUTED, CommandReason.PERMITTED, line, found.name):
            return
        if self._is_over():
            # The session was ended while the event was being written.
            await self._record(Action.COMMAND_FAILED, CommandReason.SESSION_ENDED, line, found.name)
            return
        await self._run(found, arguments, line)

    async def deny(self, line: str, reason: CommandReason, sentence: str) -> None:
        """Refuse a line: an event, and the sentence to the user."""
        name = escape(_split(line)[0], NAME_MAX_CHARS)
        if await self._record(Action.COMMAND_DENIED, reason, line, name):
            self._caller.say(sentence)

    async def _run(self, found: Command, arguments: str, line: str) -> None:
        try:
            await found.handler(self._caller, arguments)
        except CommandError as failed:
            self._caller.say(str(failed))
            await self._record(Action.COMMAND_FAILED, failed.reason, line, found.name)
        except AuditUnavailableError:
            self._caller.say(AUDIT_UNAVAILABLE)
        except Exception:
            # A command may come from another package: its fault ends the command and not the session.
            logger.exception("command %s failed", found.name)
            self._caller.say(f"{found.name} failed; the operator finds the cause in the server's output")
            await self._record(Action.COMMAND_FAILED, CommandReason.INTERNAL_ERROR, line, found.name)

    async def _record(self, action: Action, reason: CommandReason, line: str, name: str) -> bool:
        """Write the event of a line; False, and words to the user, when it cannot be written."""
        shown = escape(line, LINE_MAX_CHARS)
        fared = "" if reason is CommandReason.PERMITTED else f"({reason.value})"
        message = f"{self._who}: {' '.join(filter(None, (shown, fared)))}"
        command = {"name": name, "line": shown}
        try:
            await self._trail.record(action, reason, message, telnetsd={"command": command})
        except AuditUnavailableError:
            self._caller.say(AUDIT_UNAVAILABLE)
            return False
        return True


def _split(line: str) -> tuple[str, str]:
    """Split a line into the command's name and what stands behind it; both may be empty."""
    name, *rest = line.split(None, 1) or [""]
    return name, rest[0].rstrip() if rest else ""
