"""The words for the state of a line."""

from collections.abc import Sequence

from telnetsd.rpc.messages import LineRow, LineState


def words_of(row: LineRow) -> str:
    """Return a phrase for the state of a line."""
    who = who_is_on(row.name, row.writer, row.watchers) if row.writer or row.watchers else ""
    match row.state:
        case LineState.FREE:
            return "free"
        case LineState.IN_USE:
            return who
        case LineState.CONNECTING:
            return "being connected"
        case LineState.UP:
            words = "up"
        case LineState.DOWN:
            since = f" since {row.since:%Y-%m-%d %H:%M} UTC" if row.since is not None else ""
            words = f"down{since}: {row.why}"
    return "; ".join(filter(None, (words, who, row.unrecorded)))


def who_is_on(line_name: str, writer: str, watchers: Sequence[str]) -> str:
    """Return a sentence that says who is connected to a line; without a writer, `writer` is empty."""
    watching = f"; watched by {', '.join(watchers)}" if watchers else ""
    return f"{writer or 'no session'} writes to {line_name}{watching}"
