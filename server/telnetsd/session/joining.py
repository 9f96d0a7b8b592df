"""How a session comes to a line: it opens it, watches it, or takes it over; on the log before anything is shown."""

from datetime import UTC, datetime
from pathlib import Path

from telnetsd.commands.caller import Services
from telnetsd.lines.place import Seat, Visitor, Wish
from telnetsd.lines.recordings.recording import recording_end
from telnetsd.lines.table import Line, LineError
from telnetsd.session.attachment import Console


async def join_line(console: Console, line: Line, wish: Wish, services: Services, session_id: str) -> Seat:
    """Connect a session to a line.

    Returns: Its seat there; the line may be over already.
    Raises:
        LineError: It is in use, cannot be reached, or is not shared.
        AuditUnavailableError: The log cannot be written: nobody is connected.
    """
    await services.switchboard.require_free(line, wish)
    try:
        seat = await _find_seat(console, line, wish, services, session_id)
        await _enter(console, seat)
    except BaseException:
        console.give_lines_back()
        raise
    return seat


async def _find_seat(console: Console, line: Line, wish: Wish, services: Services, session_id: str) -> Seat:
    terminal = await console.terminal()
    console.require_here()
    environment = {"TELNETSD_USER": console.name, "TELNETSD_SESSION": session_id}
    recording = _recording_path(services.recordings, line, session_id)
    visitor = Visitor(console, terminal, environment, recording, console.trail)
    seat = await console.unless_dismissed(services.switchboard.seat(line, wish, visitor))
    if seat is None:
        raise console.sent_away()
    return seat


async def _enter(console: Console, seat: Seat) -> None:
    """Take a seat, once that is on the log."""
    try:
        console.require_here()
        await console.record_connected(seat.reason, seat.writer)
        try:
            console.require_here()
            said = await seat.enter()
        except LineError as error:
            console.dismiss(error.reason, "")
            await console.record_disconnected()
            raise
        console.tell(f"{said} ~. leaves, ~? says what else")
        seat.begin()
    except BaseException:
        seat.leave()
        raise


def _recording_path(folder: Path, line: Line, session_id: str) -> Path:
    # With the microseconds: a session may come back to a line at once.
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{recording_end(line.name, session_id)}"
