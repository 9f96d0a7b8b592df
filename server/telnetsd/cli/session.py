"""telnetsd session list, kick, watch."""

from typing import Final

import typer

from telnetsd.audit.reading.row import short_session_id
from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_table, show_screen
from telnetsd.cli.words import SessionArgument
from telnetsd.commands.wording import duration
from telnetsd.control.client import ask, watch
from telnetsd.rpc.messages import KickSessionRequest, ListSessionsRequest, SessionRow

COLUMNS: Final = ("id", "user", "line", "from", "since (UTC)", "idle", "certificate", "tls")
"""The columns of a table of sessions."""


def list_(context: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """List the open sessions of the running server."""
    rows = ask(home_of(context, home).control_socket, ListSessionsRequest())
    if json:
        print_json(rows)
        return
    print_table(COLUMNS, [cells_of(row) for row in rows])


def cells_of(row: SessionRow) -> tuple[str, ...]:
    """Return one session's cells, in the order of COLUMNS."""
    return (
        short_session_id(row.id),
        row.user,
        row.line or "-",
        row.source,
        f"{row.started_at:%Y-%m-%d %H:%M:%S}",
        duration(row.idle_s),
        row.certificate_status,
        row.tls,
    )


def kick(
    context: typer.Context,
    id: SessionArgument,  # noqa: A002 -- the argument's name
    home: HomeOption = None,
) -> None:
    """End a session; its user is notified."""
    row = ask(home_of(context, home).control_socket, KickSessionRequest(id))
    typer.echo(f"session {short_session_id(row.id)} of {row.user} has ended")


def watch_(
    context: typer.Context,
    id: SessionArgument,  # noqa: A002 -- the argument's name
    home: HomeOption = None,
) -> None:
    """Watch the output of a session, until it ends or ^C, without sequences that would control this terminal."""
    show_screen(watch(home_of(context, home).control_socket, id))
