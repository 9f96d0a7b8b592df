"""telnetsd top: a live view of a running server."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from telnetsd.cli.common import HomeOption, JsonOption, console, home_of, is_terminal, make_table, print_json
from telnetsd.cli.session import COLUMNS, cells_of
from telnetsd.control.client import ask
from telnetsd.rpc.messages import CountsRequest, ListSessionsRequest, SessionRow

RATES: Final = {
    "logins": "session-started",
    "commands": "command-executed",
    "denied commands": "command-denied",
    "refused sessions": "session-refused",
    "failed handshakes": "handshake-failed",
    "events of refused connections": "connection-refused",
}
"""The rates that are shown, per second, with the action in the log that each one counts."""
_HEADER_LINES: Final = 4

Counts = Mapping[str, float]


def top(
    context: typer.Context,
    interval: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds between updates.")] = 1.0,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show open sessions and events per second, live.

    Runs until ^C; in a pipe or with --json, prints once.
    """
    path = home_of(context, home).control_socket
    before: Counts = ask(path, CountsRequest())
    at = time.monotonic()
    if json or not is_terminal():
        time.sleep(interval)
        view = _look(path, before, time.monotonic() - at)
        if json:
            print_json({"sessions": view.sessions, "per_s": view.per_s})
        else:
            console().print(_draw(view, len(view.sessions)))
        return
    with Live(console=console(), screen=True, auto_refresh=False) as live:
        while True:
            time.sleep(interval)
            now = time.monotonic()
            view = _look(path, before, now - at)
            before, at = view.counts, now
            live.update(_draw(view, live.console.height - _HEADER_LINES), refresh=True)


@dataclass(frozen=True, slots=True)
class _View:
    """What is shown: the sessions, and how many events of each kind there were, in total and per second."""

    sessions: list[SessionRow]
    counts: Counts
    per_s: dict[str, float]


def _look(path: Path, before: Counts, seconds: float) -> _View:
    counts = ask(path, CountsRequest())
    per_s = {name: (counts.get(action, 0) - before.get(action, 0)) / seconds for name, action in RATES.items()}
    return _View(ask(path, ListSessionsRequest()), counts, per_s)


def _draw(view: _View, rows_max: int) -> Group:
    sessions = sorted(view.sessions, key=lambda row: (row.idle_s is None, row.idle_s))
    shown = sessions[: max(1, rows_max)]
    rates = ", ".join(f"{rate:.1f} {name}" for name, rate in view.per_s.items())
    more = f", the {len(shown)} most recently active" if len(shown) < len(sessions) else ""
    return Group(
        Text(f"{len(sessions)} session{'' if len(sessions) == 1 else 's'}{more}", style="bold"),
        Text(f"per second: {rates}"),
        Text(""),
        make_table(COLUMNS, [cells_of(row) for row in shown]),
    )
