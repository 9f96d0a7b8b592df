"""telnetsd login."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.cli.connect import LOST
from telnetsd.cli.passphrase import password_from
from telnetsd.cli.target import HostArgument, KeyPasswordOption, parse_host
from telnetsd.client.connecting import AskPassword, LostError, make_client_context
from telnetsd.client.credentials import read_given
from telnetsd.client.profile import Profile, save_profile
from telnetsd.client.requesting import request
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.own_client import Message, Output, OwnClient, RunRequest
from telnetsd.pki.certificate import certificate_sha256

_SUBJECT_MAX_CHARS = 200


def login(
    address: HostArgument,
    certificate: Annotated[Path, typer.Argument(metavar="FILE", help="alice.p12, or alice.pem with its key.")],
    key: Annotated[
        Path | None, typer.Argument(metavar="[KEY]", help="The key of a .pem, if it is not in the same file.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The CA of the server; else the one that came in the .p12.")
    ] = None,
    fingerprint: Annotated[
        str, typer.Option(metavar="SHA256:…", help="Trust the CA that came in the .p12 if it has this fingerprint.")
    ] = "",
    password_file: KeyPasswordOption = None,
) -> None:
    """Store a server, its CA, and what to log in with; then `connect HOST` and `run HOST` need nothing else.

    The files are below $XDG_CONFIG_HOME/telnetsd, and only you can read them.
    """
    where = parse_host(address)
    ask = _once(password_from(password_file, str(key or certificate)))
    given = read_given(certificate, key, ask)
    if ca is not None:
        authorities = read_ca(ca)
    else:
        authorities = b"".join(one.public_bytes(Encoding.PEM) for one in _trusted(given.authorities, fingerprint))
    profile = save_profile(where, authorities, given.chain, given.key)
    typer.echo(
        f"stored in {profile.folder}: the certificate is valid until {given.certificate.not_valid_after_utc:%Y-%m-%d}"
    )
    try_login(profile, ask)


def read_ca(path: Path) -> bytes:
    """Return the content of a PEM file of CA certificates.

    Raises:
        OperatorError: It cannot be read, or has none.
    """
    try:
        content = path.read_bytes()
        x509.load_pem_x509_certificates(content)
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}; check its path and mode") from error
    except ValueError as error:
        raise OperatorError(f"{path} has no readable certificate (PEM)") from error
    return content


def try_login(profile: Profile, ask: AskPassword) -> None:
    """Log in once, and say who the server says the user is."""
    said: list[str] = []

    def hear(message: Message) -> None:
        if isinstance(message, Output):
            said.extend(message.text.splitlines())

    context = make_client_context(profile.ca, profile.credentials, OwnClient.RUN, ask)
    try:
        over = asyncio.run(request(profile.address, context, RunRequest("whoami"), hear))
    except LostError as error:
        typer.echo(f"the server was not reached, so the login was not tried: {error}", err=True)
        raise typer.Exit(LOST) from error
    if not over.is_by_user or over.exit_status:
        typer.echo(
            f"the server refused the login: {escape(over.sentence or ' '.join(said), _SUBJECT_MAX_CHARS)}", err=True
        )
        raise typer.Exit(1)
    who = " ".join(said[0].split()) if said else "as a guest"
    typer.echo(f"logged in: {escape(who, _SUBJECT_MAX_CHARS)}")
    typer.echo(f"connect with: telnetsd connect {profile.name}")


def _trusted(authorities: tuple[x509.Certificate, ...], fingerprint: str) -> tuple[x509.Certificate, ...]:
    """Return the CAs that came with the certificate, once the user has said that they are the right ones."""
    if not authorities:
        raise OperatorError("no CA of the server came with the certificate; name it with --ca FILE")
    if fingerprint:
        wanted = fingerprint.upper().removeprefix("SHA256:").replace(":", "")
        found = tuple(one for one in authorities if certificate_sha256(one).upper() == wanted)
        if not found:
            raise OperatorError("no CA that came with the certificate has that fingerprint; ask the operator")
        return found
    for one in authorities:
        typer.echo(f"{escape(one.subject.rfc4514_string(), _SUBJECT_MAX_CHARS)} came with the certificate:")
        typer.echo(f"  SHA256:{certificate_sha256(one)}")
    if not sys.stdin.isatty():
        raise OperatorError("to trust it, give its fingerprint with --fingerprint, or its file with --ca")
    if not typer.confirm("Is this the fingerprint that the operator gave you?", default=False):
        raise OperatorError("not trusted; nothing was stored")
    return authorities


def _once(ask: AskPassword) -> AskPassword:
    """Return a function that asks only the first time."""
    found: list[bytes] = []

    def answer() -> bytes:
        if not found:
            found.append(ask())
        return found[0]

    return answer
