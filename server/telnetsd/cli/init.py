"""telnetsd init."""

from pathlib import Path
from typing import Annotated

import typer

from telnetsd.administration.initialise import initialise
from telnetsd.cli.common import HomeOption, fail_usage, home_of
from telnetsd.cli.passphrase import new_passphrase
from telnetsd.pki.keys import KeyType


def init(
    context: typer.Context,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", metavar="HOST", help="A host name or address that clients will use; may be repeated."),
    ] = None,
    listen: Annotated[
        str,
        typer.Option(metavar="HOST:PORT", help="The address to listen on, as in [::]:992, for telnetsd.toml."),
    ] = "",
    intermediate: Annotated[
        bool, typer.Option("--intermediate", help="Issue from an intermediate; the root's key can be kept offline.")
    ] = False,
    key_type: Annotated[
        KeyType,
        typer.Option(
            metavar="ec|rsa|ml-dsa-44|ml-dsa-65|ml-dsa-87",
            help="Type of the CA's key. With ML-DSA, a separate P-256 CA issues the server's own certificate.",
        ),
    ] = KeyType.EC,
    encrypt_key: Annotated[
        bool, typer.Option("--encrypt-key", help="Ask for a passphrase, and encrypt the CA's keys with it.")
    ] = False,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="Encrypt the CA's keys with the passphrase in FILE."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Create a home folder: CA, server certificate, configuration."""
    where = home_of(context, home)
    if key_type is KeyType.ED25519:
        fail_usage("a CA's key must be ec, rsa or ml-dsa-44, -65, -87: not every client verifies Ed25519")
    is_locked = encrypt_key or passphrase_file is not None
    passphrase = new_passphrase(passphrase_file, "the CA's key") if is_locked else None
    made = initialise(
        where,
        tuple(name or ()),
        listen=listen,
        has_intermediate=intermediate,
        passphrase=passphrase,
        key_type=key_type,
    )
    typer.echo(f"made {where.root}")
    typer.echo(f"  certs/ca.pem      the CA, until {made.ca.not_valid_after_utc:%Y-%m-%d}; clients need this file")
    if made.issuing is None:
        typer.echo("  certs/ca.key      its key: keep a backup, and keep it secret")
    else:
        typer.echo("  certs/ca.key      its key: move it to offline storage")
        until = f"{made.issuing.not_valid_after_utc:%Y-%m-%d}"
        typer.echo(f"  certs/issuing.pem the intermediate that issues, until {until}; issuing.key is its key")
    if where.server_ca_certificate.exists():
        typer.echo("  certs/server-ca.pem the separate P-256 CA: for the server, and users without ML-DSA keys")
    typer.echo(f"  certs/server.pem  for {', '.join(made.names)}, until {made.server.not_valid_after_utc:%Y-%m-%d}")
    typer.echo("  telnetsd.toml     the usual settings with their defaults")
    typer.echo("next: telnetsd user add NAME, then telnetsd serve")
