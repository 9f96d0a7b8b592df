"""telnetsd connect."""

import asyncio
import sys
from typing import Annotated, Final

import typer

from telnetsd.cli.common import HomeOption, home_of
from telnetsd.cli.target import (
    CaOption,
    CertOption,
    GuestOption,
    KeyOption,
    KeyPasswordOption,
    UserOption,
    Wish,
    target_of,
)
from telnetsd.client.keyboard import Keyboard
from telnetsd.client.talking import Conversation
from telnetsd.errors import OperatorError
from telnetsd.own_client import OwnClient

LOST: Final = 255
"""The exit status if the connection was refused or lost, as that of ssh."""


def connect(
    context: typer.Context,
    address: Annotated[
        str | None,
        typer.Argument(metavar="[HOST[:PORT]]", help="Default: the server of this home folder."),
    ] = None,
    line: Annotated[
        str, typer.Argument(metavar="[LINE]", help="Connect to this line at once; else to the prompt.")
    ] = "",
    user: UserOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    guest: GuestOption = False,
    ca: CaOption = None,
    password_file: KeyPasswordOption = None,
    reconnect: Annotated[
        bool, typer.Option("--reconnect", help="Take up the session, and its line, when the connection is lost.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Connect to a server: a TLS telnet client. Exit status 255 if the connection was refused or lost."""
    wish = Wish(address=address, user=user, certificate=cert, key=key, guest=guest, ca=ca)
    target = target_of(wish, home_of(context, home), password_file, OwnClient.CONNECT)
    talk = Conversation(
        target.address,
        target.context,
        Keyboard(sys.stdin.fileno()),
        sys.stdout.buffer,
        line=line,
        reconnects=reconnect,
    )
    try:
        ending = asyncio.run(talk.run())
    except OperatorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(LOST) from error
    except asyncio.CancelledError:
        raise typer.Exit(LOST) from None
    start = "" if talk.is_at_line_start else "\n"
    typer.echo(f"{start}connection to {target.address.host} {ending.words}", err=True)
    if not ending.is_by_user:
        raise typer.Exit(LOST)
