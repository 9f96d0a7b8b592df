"""telnetsd user add, user list, user show."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from telnetsd.administration.material import server_name
from telnetsd.administration.users import add_user
from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_table
from telnetsd.commands.table import USER_ROLE
from telnetsd.config import load_settings, parse_address
from telnetsd.errors import OperatorError
from telnetsd.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.authority import USER_DAYS, KeyType
from telnetsd.pki.certificate import days_left
from telnetsd.state import State, UserRecord

app = typer.Typer(help="Add and see users.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def add(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="1 to 32 of a-z, 0-9, dot, dash, underscore, a letter first.")
    ],
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE", help=f"May be repeated; default: {USER_ROLE}.")
    ] = None,
    days: Annotated[int, typer.Option(metavar="N", help="How many days the certificate is valid.")] = USER_DAYS,
    key_type: Annotated[
        KeyType, typer.Option(metavar="ec|rsa|ed25519", help="Debian's telnet-ssl takes only rsa.")
    ] = KeyType.EC,
    home: HomeOption = None,
) -> None:
    """Add a user, and issue a certificate to them."""
    where = home_of(context, home)
    user = User(name, tuple(dict.fromkeys(role or [USER_ROLE])))
    with Console(stderr=True).status(f"making a key and a certificate for {name}"):
        added = add_user(where, user, key_type, days)
    until = added.certificate.not_valid_after_utc
    typer.echo(f"added {name} ({', '.join(user.roles)}), certificate valid until {until:%Y-%m-%d}")
    typer.echo(f"hand over, by a way that you trust: {where.shown(where.ca_certificate)} and")
    typer.echo(f"  {where.shown(added.files.certificate)}  certificate and chain")
    typer.echo(f"  {where.shown(added.files.key)}  private key")
    typer.echo(f"  {where.shown(added.files.pkcs12)}  both, as PKCS#12 without a password")
    typer.echo(f"in a folder with {name}.pem, {name}.key and ca.pem, {name} connects with any of:")
    _, port = parse_address(load_settings(where.config_file).listener.listen)
    for line in connect_lines(name, key_type, server_name(where), port):
        typer.echo(f"  {line}")


def connect_lines(name: str, key_type: KeyType, host: str, port: int) -> list[str]:
    """Return what a user types to connect, in a folder with their files, with the clients that take their key."""
    cert, key, ca = f"{name}.pem", f"{name}.key", "ca.pem"
    verified = f"-verify_return_error -verify_hostname {host} -CAfile {ca}"
    lines = [
        f"telnetsd connect {host}:{port} --cert {cert} --key {key} --ca {ca}",
        f"openssl s_client -quiet -connect {host}:{port} {verified} -cert {cert} -key {key}",
        f"ncat --ssl-verify --ssl-trustfile {ca} --ssl-cert {cert} --ssl-key {key} {host} {port}",
        f"socat - OPENSSL:{host}:{port},cafile={ca},cert={cert},key={key}",
        f"gnutls-cli --port {port} --x509cafile {ca} --x509certfile {cert} --x509keyfile {key} {host}",
    ]
    if key_type is KeyType.RSA:
        options = f"-z ssl -z secure -z cert={cert} -z key={key} -z cacert={ca}"
        lines.append(f"telnet-ssl {options} {host} {port}")
    return lines


@app.command("list")
def list_(context: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """List the users."""
    with closing(_state(home_of(context, home))) as state:
        users = state.list_users()
    if json:
        print_json(users)
        return
    now = datetime.now(UTC)
    print_table(
        ["user", "roles", "added", "certificate until", "days left"],
        [
            (
                one.user.name,
                ", ".join(one.user.roles),
                f"{one.added_at:%Y-%m-%d}",
                *(_until(one, now)),
            )
            for one in users
        ],
    )


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show one user, with every certificate that was issued to them."""
    with closing(_state(home_of(context, home))) as state:
        found = state.find_user(name)
    if found is None:
        raise OperatorError(f"no user {name!r}; see: telnetsd user list")
    if json:
        print_json(found)
        return
    typer.echo(f"{found.user.name} ({', '.join(found.user.roles)}), added {found.added_at:%Y-%m-%d %H:%M} UTC")
    for one in found.certificates:
        days = days_left(one.not_after, datetime.now(UTC))
        typer.echo(f"  serial       {one.serial_number}")
        typer.echo(f"  valid        {one.not_before:%Y-%m-%d} to {one.not_after:%Y-%m-%d} ({days} days left)")
        typer.echo(f"  key          {one.public_key} bits")
        typer.echo(f"  fingerprint  SHA256:{one.sha256}")
        typer.echo(f"  public key   SHA256:{one.spki_sha256}")


def _state(home: Home) -> State:
    if not home.state_file.exists():
        raise OperatorError(f"no state at {home.state_file}; is this the home folder? to make one: telnetsd init")
    return State(home.state_file)


def _until(record: UserRecord, now: datetime) -> tuple[str, str]:
    if not record.certificates:
        return "-", "-"
    latest = max(one.not_after for one in record.certificates)
    return f"{latest:%Y-%m-%d}", str(days_left(latest, now))
