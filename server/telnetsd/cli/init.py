"""telnetsd init."""

from typing import Annotated

import typer

from telnetsd.administration.initialise import initialise
from telnetsd.cli.common import HomeOption, home_of


def init(
    context: typer.Context,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="A host name or address that clients will use; may be repeated."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Make a home folder: CA, server certificate, configuration."""
    where = home_of(context, home)
    made = initialise(where, tuple(name or ()))
    typer.echo(f"made {where.root}")
    typer.echo(f"  certs/ca.pem      the CA, until {made.ca.not_valid_after_utc:%Y-%m-%d}; clients need this file")
    typer.echo("  certs/ca.key      its key: keep it, and keep it to yourself")
    typer.echo(f"  certs/server.pem  for {', '.join(made.names)}, until {made.server.not_valid_after_utc:%Y-%m-%d}")
    typer.echo("  telnetsd.toml     every setting with its default")
    typer.echo("next: telnetsd user add NAME, then telnetsd serve")
