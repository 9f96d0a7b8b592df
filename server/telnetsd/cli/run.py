"""telnetsd run."""

import asyncio
import os
import sys
from typing import Annotated

import typer

from telnetsd.cli.common import HomeOption, fail_usage, home_of
from telnetsd.cli.connect import LOST
from telnetsd.cli.target import (
    CaOption,
    CertOption,
    GuestOption,
    HostArgument,
    KeyOption,
    KeyPasswordOption,
    UserOption,
    Wish,
    target_of,
)
from telnetsd.client.requesting import request
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape_controls
from telnetsd.own_client import REFUSED, Message, Output, OwnClient, RunRequest


def run(
    context: typer.Context,
    address: HostArgument,
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARGUMENT …]", help="As typed at the prompt.")],
    user: UserOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    guest: GuestOption = False,
    ca: CaOption = None,
    password_file: KeyPasswordOption = None,
    home: HomeOption = None,
) -> None:
    """Run one command on a server, for scripts.

    Exit status: 0 done, 1 denied or failed, a program's own, 255 if the connection was refused or lost.
    """
    if not all(word.isprintable() for word in command):
        fail_usage("an argument has a control character")
    wish = Wish(address=address, user=user, certificate=cert, key=key, guest=guest, ca=ca)
    target = target_of(wish, home_of(context, home), password_file, OwnClient.RUN)
    wanted = RunRequest(" ".join(command))
    try:
        over = asyncio.run(request(target.address, target.context, wanted, show))
    except OperatorError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(LOST) from error
    if not over.is_by_user:
        why = escape_controls(over.sentence or over.reason)
        is_refused = over.reason == REFUSED
        typer.echo(why if is_refused else f"connection to {target.address.host} closed: {why}", err=True)
        raise typer.Exit(LOST)
    raise typer.Exit(over.exit_status)


def show(message: Message) -> None:
    """Print the command's output; on standard error, what the server says beside it."""
    if isinstance(message, Output):
        try:
            sys.stdout.write("\n".join(escape_controls(line) for line in message.text.split("\n")))
            sys.stdout.flush()
        except BrokenPipeError as error:
            # The reader of our output is gone, and the connection is not: the command has not failed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(1) from error
    else:
        typer.echo(f"*** {escape_controls(getattr(message, 'text', ''))}", err=True)
