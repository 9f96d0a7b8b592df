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
    if opened is None and wish is Wish.WATCH:
        raise LineError(LineReason.NOT_IN_USE, f"nobody is connected to {line.name}: there is nothing to watch")
    try:
        if opened is not None:
            await _join_others(console, opened, wish)
            return opened
        return await _open(console, line, services, session_id)
    except BaseException:
        console.give_lines_back()
        raise


async def _open(console: Console, line: Line, services: Services, session_id: str) -> OpenLine:
    terminal = await console.terminal()
    console.require_here()
    in_use = services.switchboard.find(line)
    if in_use is not None:
        raise LineError(LineReason.IN_USE, in_use.in_use())
    environment = {"TELNETSD_USER": console.name, "TELNETSD_SESSION": session_id}
    recording = _recording_path(services.recordings, line, session_id)
    visitor = Visitor(console, terminal, environment, recording, console.record_recording)
    opened = await console.unless_dismissed(services.switchboard.open(line, visitor))
    if opened is None:
        raise console.sent_away()
    try:
        console.require_here()
        await console.record_connected(LineReason.WRITING)
        console.tell(f"connected to {line.name}: ~. leaves, ~? says what else")
    except BaseException:
        opened.leave(console)
        raise
    finally:
        opened.begin()
    return opened


async def _join_others(console: Console, opened: OpenLine, wish: Wish) -> None:
    line = opened.line
    if not opened.is_ready:
        raise LineError(LineReason.IN_USE, f"{line.name} is just being connected: try again in a moment")
    if wish is not Wish.FORCE and not line.settings.shared:
        raise LineError(LineReason.IN_USE, opened.in_use())
    await console.terminal()
    console.require_here()
    opened.require_open()
    writer = opened.writer
    writes = wish is Wish.FORCE or (wish is Wish.WRITE and writer is None)
    reason = LineReason.TAKEN_OVER if writes and writer is not None else LineReason.WRITING
    await console.record_connected(reason if writes else LineReason.WATCHING, writer.name if writer else "")
    try:
        console.require_here()
        if writes and (wish is Wish.FORCE or opened.writer is None):
            opened.take_over(console)
        else:
            opened.watch(console)
            if writes:
                # Somebody else was faster, while this was written to the log.
                console.demote(LineReason.IN_USE)
    except LineError as error:
        console.dismiss(error.reason, "")
        await console.record_disconnected()
        raise
    console.tell(f"{opened.who()}; ~. leaves, ~? says what else")


def _recording_path(folder: Path, line: Line, session_id: str) -> Path:
    # With the microseconds: a session may come back to a line at once.
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{line.name}-{session_id[-8:]}.cast"
