"""The lines as others see them now: a row for each."""

from telnetsd.lines.kept_open import KeptOpenLine
from telnetsd.lines.on_demand import OnDemandLine
from telnetsd.lines.open_line import OpenLine
from telnetsd.lines.table import Line
from telnetsd.rpc.messages import LineRow, LineState


def row_of(line: Line, opened: OpenLine | None, unreachable: str) -> LineRow:
    """Return the row of a line.

    Args:
        line: The line.
        opened: The line as it is open now, if it is.
        unreachable: Why it could not be opened the last time; empty if it could.
    """
    state, why = _state_of(opened, unreachable)
    writer = opened.people.writer if opened is not None else None
    kept = opened if isinstance(opened, KeptOpenLine) else None
    backlog = opened.traffic.backlog if opened is not None else None
    return LineRow(
        name=line.name,
        kind=line.kind,
        description=line.settings.description,
        state=state,
        why=why,
        since=kept.connectivity.since if kept is not None else None,
        writer=writer.name if writer is not None else "",
        watchers=[one.name for one in opened.people.watchers] if opened is not None else [],
        is_kept_open=line.settings.keep_open,
        is_recorded=opened is not None and opened.traffic.recording is not None,
        unrecorded=kept.log.why_not if kept is not None and kept.log is not None else "",
        shown_bytes=opened.traffic.shown_bytes if opened is not None else 0,
        backlog_bytes=backlog.size if backlog is not None else 0,
        last_output_at=backlog.until if backlog is not None else None,
    )


def _state_of(opened: OpenLine | None, unreachable: str) -> tuple[LineState, str]:
    if isinstance(opened, KeptOpenLine):
        state = opened.connectivity
        return (LineState.UP, "") if state.is_up else (LineState.DOWN, state.why)
    if isinstance(opened, OnDemandLine):
        return (LineState.IN_USE if opened.is_ready else LineState.CONNECTING), ""
    return (LineState.DOWN, unreachable) if unreachable else (LineState.FREE, "")
