"""telnetsd init."""

from pathlib import Path
from typing import Annotated

import typer

from telnetsd.administration.initialise import initialise
from telnetsd.cli.common import HomeOption, home_of
from telnetsd.cli.passphrase import new_passphrase


def init(
    context: typer.Context,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="A host name or address that clients will use; may be repeated."),
    ] = None,
    intermediate: Annotated[
        bool, typer.Option("--intermediate", help="An intermediate issues; the root's key can be offline.")
    ] = False,
    encrypt_key: Annotated[bool, typer.Option("--encrypt-key", help="Ask for a passphrase for its key.")] = False,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="Encrypt its key with the passphrase in FILE."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Make a home folder: CA, server certificate, configuration."""
    where = home_of(context, home)
    is_locked = encrypt_key or passphrase_file is not None
    passphrase = new_passphrase(passphrase_file, "the CA's key") if is_locked else None
    made = initialise(where, tuple(name or ()), has_intermediate=intermediate, passphrase=passphrase)
    typer.echo(f"made {where.root}")
    typer.echo(f"  certs/ca.pem      the CA, until {made.ca.not_valid_after_utc:%Y-%m-%d}; clients need this file")
    if made.issuing is None:
        typer.echo("  certs/ca.key      its key: keep it, and keep it to yourself")
    else:
        typer.echo("  certs/ca.key      its key: move it to a place that is not on the network")
        until = f"{made.issuing.not_valid_after_utc:%Y-%m-%d}"
        typer.echo(f"  certs/issuing.pem the intermediate that issues, until {until}; issuing.key is its key")
    typer.echo(f"  certs/server.pem  for {', '.join(made.names)}, until {made.server.not_valid_after_utc:%Y-%m-%d}")
    typer.echo("  telnetsd.toml     every setting with its default")
    typer.echo("next: telnetsd user add NAME, then telnetsd serve")
