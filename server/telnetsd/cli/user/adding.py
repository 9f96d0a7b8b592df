"""telnetsd user: add, import, list, show, change."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.installation.generation import server_name
from telnetsd.administration.users.bulk import CHUNK_USERS, Template, read_users
from telnetsd.administration.users.credentials import Credential, GeneratedKey, Issuance, PinnedKey, RequestFile
from telnetsd.administration.users.users import NewUser, add_user, add_users, change_user, rename_user
from telnetsd.cli.common import HomeOption, fail_usage, home_of
from telnetsd.cli.passphrase import (
    PassphraseOption,
    PasswordFileOption,
    PasswordOption,
    passphrase_from,
    pkcs12_password,
)
from telnetsd.cli.words import UserArgument
from telnetsd.commands.table import USER_ROLE
from telnetsd.config.address import parse_address
from telnetsd.config.loading import load_settings
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.keys import KeyType

DaysOption = Annotated[
    int | None,
    typer.Option("--days", metavar="N", help="How many days the certificate is valid; default: as configured."),
]
ClassOption = Annotated[
    int | None, typer.Option("--class", metavar="N", help="The assurance class, from [classes] in telnetsd.toml.")
]
CsrOption = Annotated[
    Path | None,
    typer.Option("--csr", metavar="FILE", help="A certification request: the private key stays with the user."),
]
KeyTypeOption = Annotated[
    KeyType | None,
    typer.Option(
        metavar="ec|rsa|ed25519|ml-dsa-44|ml-dsa-65|ml-dsa-87",
        help="Default ec; Debian's telnet-ssl accepts only rsa, and ML-DSA needs a client with OpenSSL 3.5.",
    ),
]
LabelOption = Annotated[
    str, typer.Option("--label", metavar="LABEL", help="The device that it is for: 1 to 32 of a-z, 0-9 and dash.")
]
RoleOption = Annotated[list[str] | None, typer.Option(metavar="ROLE", help=f"May be repeated; default: {USER_ROLE}.")]


def add(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="1 to 32 of a-z, 0-9, dot, dash, underscore; starts with a letter.")
    ],
    role: RoleOption = None,
    days: DaysOption = None,
    assurance_class: ClassOption = None,
    key_type: KeyTypeOption = None,
    csr: CsrOption = None,
    pin: Annotated[
        str | None,
        typer.Option(metavar="CERT|SHA256:…", help="Accept a self-signed certificate by its public key; class 0."),
    ] = None,
    mapped: Annotated[
        bool,
        typer.Option("--mapped", help="Entries in [[cert_to_name]] may name the user; no certificate is issued."),
    ] = False,
    allow_similar: Annotated[
        bool, typer.Option("--allow-similar", help="Allow a name that is easily mistaken for that of another user.")
    ] = False,
    password: PasswordOption = False,
    password_file: PasswordFileOption = None,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Add a user, and issue a certificate."""
    where = home_of(context, home)
    if sum((csr is not None, pin is not None, mapped)) > 1 or (key_type is not None and (csr or pin or mapped)):
        fail_usage("use only one of --key-type, --csr, --pin, --mapped")
    if (pin is not None or mapped) and (days is not None or assurance_class is not None):
        fail_usage("--days and --class require a certificate, and none is issued with --pin or --mapped")
    kind = key_type or KeyType.EC
    credential: Credential
    if csr is not None:
        credential = RequestFile(csr)
    elif pin is not None:
        credential = PinnedKey(pin)
    elif mapped:
        credential = None
    else:
        credential = GeneratedKey(kind, pkcs12_password(password_file, is_asked=password))
    user = User(name, tuple(dict.fromkeys(role or [USER_ROLE])))
    new = NewUser(user, mapped, allow_similar)
    added = add_user(where, new, credential, Grant(days, assurance_class), passphrase_from(passphrase_file))
    typer.echo(f"added {name} ({', '.join(user.roles)}){until_of(added)}")
    if pin is not None:
        typer.echo(f"{name} connects with the pinned self-signed certificate; the pin accepts no other")
    elif mapped:
        typer.echo("a [[cert_to_name]] entry must name the user; see: telnetsd user explain CERT")
    else:
        _tell_what_to_hand_over(where, added, kind, is_locked=password or password_file is not None)


def import_(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="Columns: name; optional: roles, class, days, key_type.")
    ],
    role: RoleOption = None,
    days: DaysOption = None,
    assurance_class: ClassOption = None,
    key_type: KeyTypeOption = None,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Skip the names of existing users.")] = False,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Add every user in a CSV file, each with a certificate; the whole file is checked before the first is added."""
    where = home_of(context, home)
    template = Template(tuple(role or [USER_ROLE]), key_type or KeyType.EC, Grant(days, assurance_class))
    users = read_users(where, file, template, is_skipping=skip_existing)
    ask = passphrase_from(passphrase_file)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("adding users", total=len(users))
        for start in range(0, len(users), CHUNK_USERS):
            chunk = users[start : start + CHUNK_USERS]
            add_users(where, chunk, ask)
            progress.advance(task, len(chunk))
    typer.echo(f"added {len(users)} users; their files are in {where.shown(where.users_folder)}")


def change(
    context: typer.Context,
    name: UserArgument,
    role: Annotated[
        list[str] | None, typer.Option(metavar="ROLE", help="Replaces the current roles; may be repeated.")
    ] = None,
    mapped: Annotated[
        bool | None,
        typer.Option("--mapped/--no-mapped", help="Whether entries in [[cert_to_name]] may name the user."),
    ] = None,
    home: HomeOption = None,
) -> None:
    """Change a user's roles; the change applies to open sessions within a second."""
    if role is None and mapped is None:
        fail_usage("nothing to change; use --role ROLE, --mapped or --no-mapped")
    roles = None if role is None else tuple(dict.fromkeys(role))
    found = change_user(home_of(context, home), name, roles, is_mapped=mapped)
    may = "may" if found.is_mapped else "may not"
    typer.echo(f"{name} has the roles {', '.join(found.user.roles)}; entries of other CAs {may} name this user")


def rename(
    context: typer.Context,
    name: UserArgument,
    new: Annotated[str, typer.Argument(metavar="NEW", help="The name from now on.")],
    allow_similar: Annotated[
        bool, typer.Option("--allow-similar", help="Allow a name that is easily mistaken for that of another user.")
    ] = False,
    home: HomeOption = None,
) -> None:
    """Rename a user, who keeps roles, certificates and pins; the former name is never given again."""
    rename_user(home_of(context, home), name, new, is_similar_allowed=allow_similar)
    typer.echo(f"{name} is now {new}; open sessions of {name} end, and the same certificates log in as {new}")


def connect_lines(name: str, key_type: KeyType, host: str, port: int) -> list[str]:
    """Return the commands to connect as a user, in a folder with the files, for the clients that accept the key."""
    cert, key, ca = f"{name}.pem", f"{name}.key", "ca.pem"
    verified = f"-verify_return_error -verify_hostname {host} -CAfile {ca}"
    openssl = f"openssl s_client -quiet -connect {host}:{port} {verified} -cert {cert} -key {key}"
    if key_type.is_post_quantum:
        return [f"{openssl}    # OpenSSL 3.5 or later"]
    lines = [
        f"telnetsd connect {host}:{port} --cert {cert} --key {key} --ca {ca}",
        openssl,
        f"ncat --ssl-verify --ssl-trustfile {ca} --ssl-cert {cert} --ssl-key {key} {host} {port}",
        f"socat - OPENSSL:{host}:{port},cafile={ca},cert={cert},key={key}",
        f"gnutls-cli --port {port} --x509cafile {ca} --x509certfile {cert} --x509keyfile {key} {host}",
    ]
    if key_type is KeyType.RSA:
        options = f"-z ssl -z secure -z cert={cert} -z key={key} -z cacert={ca}"
        lines.append(f"telnet-ssl {options} {host} {port}")
    return lines


def _tell_what_to_hand_over(home: Home, added: Issuance, key_type: KeyType, *, is_locked: bool) -> None:
    name, (certificate, *secrets) = added.user.name, added.files
    typer.echo(f"hand over through a channel you trust: {home.shown(home.ca_certificate)} and")
    typer.echo(f"  {home.shown(certificate)}  certificate and chain")
    if secrets:
        key, *bundles = secrets
        lock = "encrypted with the password" if is_locked else "without a password"
        typer.echo(f"  {home.shown(key)}  private key")
        for bundle in bundles:
            typer.echo(f"  {home.shown(bundle)}  both, as PKCS#12 {lock}")
    host, (_, port) = server_name(home), parse_address(load_settings(home.config_file).listener.listen)
    if len(secrets) > 1 and not key_type.is_post_quantum:
        typer.echo(f"in a folder with {name}.p12 and ca.pem, {name} logs in once, and then connects by name:")
        typer.echo(f"  telnetsd login {host}:{port} {name}.p12 --ca ca.pem")
        typer.echo(f"  telnetsd connect {host}")
    typer.echo(f"in a folder with {name}.pem, {name}.key and ca.pem, {name} connects with any of:")
    for line in connect_lines(name, key_type, host, port):
        typer.echo(f"  {line}")


def until_of(issuance: Issuance) -> str:
    """Say until when the issued certificate is valid; empty if none was issued."""
    certificate = issuance.certificate
    return "" if certificate is None else f", certificate valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
