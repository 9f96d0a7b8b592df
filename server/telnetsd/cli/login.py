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
from telnetsd.client.requesting import ask as ask_server
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.own_client import OwnClient, RunRequest
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
    ask = once(password_from(password_file, str(key or certificate)))
    given = read_given(certificate, key, ask)
    if ca is not None:
        authorities = read_ca(ca)
    else:
        if not given.authorities:
            raise OperatorError("no CA of the server came with the certificate; name it with --ca FILE")
        authorities = trusted_of(given.authorities, fingerprint, "came with the certificate")
    profile, kept = save_profile(where, authorities, given.chain, given.key)
    typer.echo(
        f"stored in {profile.folder}: the certificate is valid until {given.certificate.not_valid_after_utc:%Y-%m-%d}"
    )
    tell_kept(kept)
    try_login(profile, ask)


def tell_kept(kept: Path | None) -> None:
    """Say where the certificate and key are that a profile had before."""
    if kept is not None:
        typer.echo(f"the certificate and key that were there before are now in {kept}")


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


def try_login(profile: Profile, ask: AskPassword | None) -> None:
    """Log in once, and say who the server says the user is."""
    context = make_client_context(profile.ca, profile.credentials, OwnClient.RUN, ask)
    try:
        shown, over = asyncio.run(ask_server(profile.address, context, RunRequest("whoami")))
    except LostError as error:
        typer.echo(f"the server was not reached, so the login was not tried: {error}", err=True)
        raise typer.Exit(LOST) from error
    said = shown.splitlines()
    if not over.is_by_user or over.exit_status:
        typer.echo(
            f"the server refused the login: {escape(over.sentence or ' '.join(said), _SUBJECT_MAX_CHARS)}", err=True
        )
        raise typer.Exit(1)
    who = " ".join(said[0].split()) if said else "as a guest"
    typer.echo(f"logged in: {escape(who, _SUBJECT_MAX_CHARS)}")
    typer.echo(f"connect with: telnetsd connect {profile.name}")


def trusted_of(authorities: tuple[x509.Certificate, ...], fingerprint: str, where: str) -> bytes:
    """Return, in PEM, those CA certificates whose fingerprint the user knows to be right, and no others.

    Args:
        authorities: The certificates, which nothing has verified.
        fingerprint: What the user has given; if it is empty, the user is asked about each.
        where: Where they are from, for the question.
    Raises:
        OperatorError: None is trusted.
    """
    if fingerprint:
        wanted = fingerprint.upper().removeprefix("SHA256:").replace(":", "")
        found = [one for one in authorities if certificate_sha256(one).upper() == wanted]
    else:
        found = [one for one in authorities if _is_confirmed(one, where)]
    if not found:
        why = f"no CA that {where} has that fingerprint; ask the operator" if fingerprint else "not trusted"
        raise OperatorError(f"{why}; nothing was stored")
    return b"".join(one.public_bytes(Encoding.PEM) for one in found)


def _is_confirmed(authority: x509.Certificate, where: str) -> bool:
    typer.echo(f"{escape(authority.subject.rfc4514_string(), _SUBJECT_MAX_CHARS)} {where}:")
    typer.echo(f"  SHA256:{certificate_sha256(authority)}")
    if not sys.stdin.isatty():
        raise OperatorError("to trust it, give its fingerprint with --fingerprint, or its file with --ca")
    return typer.confirm("Is this the fingerprint that the operator gave you?", default=False)


def once(ask: AskPassword) -> AskPassword:
    """Return a function that asks only the first time."""
    found: list[bytes] = []

    def answer() -> bytes:
        if not found:
            found.append(ask())
        return found[0]

    return answer
