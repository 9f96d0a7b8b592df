"""The past output of a line, as it is shown to a user: marked, with its time, and harmless to any terminal. Pure."""

from telnetsd.lines.backlog import Past


def replay(past: Past, line_name: str) -> bytes:
    """Return past output between two messages; the line that is not ended yet follows, since it goes on live."""
    since = f"{past.since:%Y-%m-%d %H:%M:%S}"
    until = f"{past.until:%H:%M:%S}" if past.since.date() == past.until.date() else f"{past.until:%Y-%m-%d %H:%M:%S}"
    heading = f"*** {'all' if past.is_all else 'the last'} past output of {line_name}, {since} to {until} UTC:"
    ending = "*** now live" if past.is_all else "*** now live; ~r shows more of the past, ~p all of it"
    rows = ["", heading, *past.lines, ending, past.current]
    return "\r\n".join(rows).encode()
