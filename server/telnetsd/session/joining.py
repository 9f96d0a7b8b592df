"""How a session comes to a line: it opens it, watches it, or takes it over; on the log before anything is shown."""

from datetime import UTC, datetime
from pathlib import Path

from telnetsd.audit.reason import LineReason
from telnetsd.commands.caller import Services, Wish
from telnetsd.lines.open_line import OpenLine
from telnetsd.lines.switchboard import Visitor
from telnetsd.lines.table import Line, LineError
from telnetsd.session.console import Console


async def join_line(console: Console, line: Line, wish: Wish, services: Services, session_id: str) -> OpenLine:
    """Connect a session to a line.

    Returns: The open line; it may be over already.
    Raises:
        LineError: It is in use, cannot be reached, or is not shared.
        AuditUnavailableError: The log cannot be written: nobody is connected.
    """
    opened = services.switchboard.find(line)
    if opened is not None:
        await _join_others(console, opened, wish)
        return opened
    if wish is Wish.WATCH:
        raise LineError(LineReason.NOT_IN_USE, f"nobody is connected to {line.name}: there is nothing to watch")
    try:
        return await _open(console, line, services, session_id)
    except BaseException:
        console.give_lines_back()
        raise


async def _open(console: Console, line: Line, services: Services, session_id: str) -> OpenLine:
    terminal = await console.terminal()
    in_use = services.switchboard.find(line)
    if in_use is not None:
        raise LineError(LineReason.IN_USE, in_use.in_use())
    environment = {"TELNETSD_USER": console.name, "TELNETSD_SESSION": session_id}
    recording = _recording_path(services.recordings, line, session_id)
    visitor = Visitor(console, terminal, environment, recording, console.record_recording)
    opened = await services.switchboard.open(line, visitor)
    try:
        await console.record_connected(LineReason.WRITING)
    except BaseException:
        opened.leave(console)
        raise
    console.tell(f"connected to {line.name}: ~. leaves, ~? says what else")
    opened.begin()
    return opened


async def _join_others(console: Console, opened: OpenLine, wish: Wish) -> None:
    line, writer = opened.line, opened.writer
    if wish is not Wish.FORCE and not line.settings.shared:
        raise LineError(LineReason.IN_USE, opened.in_use())
    await console.terminal()
    try:
        writes = wish is Wish.FORCE or (wish is Wish.WRITE and writer is None)
        reason = LineReason.TAKEN_OVER if writes and writer is not None else LineReason.WRITING
        await console.record_connected(reason if writes else LineReason.WATCHING, writer.name if writer else "")
        if writes:
            opened.take_over(console)
        else:
            opened.watch(console)
    except BaseException:
        console.give_lines_back()
        raise
    console.tell(f"{opened.who()}; ~. leaves, ~? says what else")


def _recording_path(folder: Path, line: Line, session_id: str) -> Path:
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{line.name}-{session_id[-8:]}.cast"
