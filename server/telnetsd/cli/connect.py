"""telnetsd connect."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from telnetsd.administration.users.credentials import user_files
from telnetsd.cli.common import HomeOption, home_of
from telnetsd.cli.words import complete_users
from telnetsd.config.address import parse_address
from telnetsd.config.loading import load_settings
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home

DEFAULT_PORT = 992


def connect(
    context: typer.Context,
    address: Annotated[
        str | None,
        typer.Argument(metavar="HOST[:PORT]", help="Default port: 992. Default: the server of this home folder."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Log in with certs/users/NAME.pem of the home folder.", autocompletion=complete_users
        ),
    ] = None,
    cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Log in with this certificate (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The key of --cert (PEM).")] = None,
    guest: Annotated[bool, typer.Option("--guest", help="Connect without a certificate (the default).")] = False,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The CA of the server; default: certs/ca.pem.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Connect to a server: a TLS telnet client."""
    from telnetsd.client.connect import Credentials, make_client_context, talk

    where = home_of(context, home)
    if (cert is None) != (key is None):
        raise typer.BadParameter("use --cert and --key together")
    if sum((user is not None, cert is not None, guest)) > 1:
        raise typer.BadParameter("use only one of --user NAME, --cert F with --key F, --guest")
    if user is not None:
        files = user_files(where, user)
        cert, key = files.certificate, files.key
        if not key.exists():
            raise OperatorError(f"no user {user} here: {where.shown(key)} not found; see: telnetsd user list")
    credentials = Credentials(cert, key) if cert is not None and key is not None else None
    tls = make_client_context(ca or where.ca_certificate, credentials)
    if not asyncio.run(talk(_address(where, address), tls, sys.stdin.fileno(), sys.stdout.buffer)):
        raise typer.Exit(1)


def _address(home: Home, text: str | None) -> tuple[str, int]:
    if text is None:
        return parse_address(load_settings(home.config_file).listener.listen)
    has_port = text.count(":") == 1 or text.rpartition("]")[2].startswith(":")
    return parse_address(text if has_port else f"{text}:{DEFAULT_PORT}")
