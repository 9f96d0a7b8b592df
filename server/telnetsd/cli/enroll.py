"""telnetsd enroll, renew."""

import asyncio
import ssl
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer
from cryptography import x509
from rich.console import Console

from telnetsd.cli.login import once, read_ca, trusted_of, try_login
from telnetsd.cli.passphrase import password_from
from telnetsd.cli.target import HostArgument, KeyPasswordOption, parse_host
from telnetsd.client.connecting import Address, AskPassword, make_client_context, make_unverified_context
from telnetsd.client.credentials import read_given
from telnetsd.client.enrolment import (
    Ask,
    authorities_of,
    collector,
    file_request,
    key_fingerprint,
    make_key,
    make_request,
    wait_granted,
)
from telnetsd.client.profile import Profile, Waiting, find_profile, find_waiting, save_profile, save_waiting
from telnetsd.client.requesting import request
from telnetsd.errors import OperatorError
from telnetsd.own_client import OwnClient, RunRequest, SessionOver

_READ_OUT: Final = "read these to the operator over a channel you trust:"


def enroll(
    address: HostArgument,
    name: Annotated[str, typer.Option(metavar="NAME", help="The user name that you ask for.")],
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="The CA of the server.")] = None,
    fingerprint: Annotated[
        str, typer.Option(metavar="SHA256:…", help="The fingerprint of the CA of the server.")
    ] = "",
) -> None:
    """Get a certificate: make a key, ask the operator, wait, and store what `connect HOST` needs.

    ^C ends the wait; the same command goes on with it.
    """
    where = parse_host(address)
    waiting = find_waiting(where)
    if waiting is None:
        authority = read_ca(ca) if ca is not None else _ask_for_authority(where, fingerprint)
        key = make_key(None)
        found = file_request(_asking(where, authority), f"enroll {name} csr", make_request(key, None, name))
        if isinstance(found, bytes):
            raise OperatorError("the server sent a certificate that nobody has granted; tell the operator")
        waiting = save_waiting(where, found, key, authority)
    _collect(where, waiting, _asking(where, waiting.ca), None)


def renew(address: HostArgument, password_file: KeyPasswordOption = None) -> None:
    """Renew a certificate: make a new key, and have the server issue a new certificate for it."""
    where = parse_host(address)
    profile = find_profile(where.host)
    if profile is None:
        raise OperatorError(f"nothing is stored for {where.host}; run: telnetsd login {where.host} FILE")
    ask = once(password_from(password_file, str(profile.credentials.key)))
    asking = _asking(profile.address, profile.ca.read_bytes(), profile, ask)
    waiting = find_waiting(profile.address)
    if waiting is not None:
        _collect(profile.address, waiting, asking, ask)
        return
    given = read_given(profile.credentials.certificate, None, ask)
    password = ask() if b"ENCRYPTED" in given.key else None
    key, user = make_key(password), _common_name(given.certificate)
    found = file_request(asking, "renew", make_request(key, password, user))
    if isinstance(found, bytes):
        _store(profile.address, profile.ca.read_bytes(), found, key, ask)
    else:
        _collect(profile.address, save_waiting(profile.address, found, key, profile.ca.read_bytes()), asking, ask)


def _collect(where: Address, waiting: Waiting, asking: Ask, ask: AskPassword | None) -> None:
    """Wait until the operator has decided, and store what was granted."""
    password = ask() if ask is not None and b"ENCRYPTED" in waiting.key else None
    typer.echo(_READ_OUT)
    typer.echo(f"  request  {waiting.pending.request_id}")
    typer.echo(f"  key      SHA256:{key_fingerprint(waiting.key, password)}")
    try:
        with Console(stderr=True).status("waiting for the operator; ^C ends this, and the same command goes on"):
            certificate = wait_granted(asking, waiting.pending)
    except OperatorError:
        waiting.forget()
        raise
    _store(where, waiting.ca, certificate, waiting.key, ask)
    waiting.forget()


def _store(where: Address, ca: bytes, certificate: bytes, key: bytes, ask: AskPassword | None) -> None:
    profile = save_profile(where, ca, certificate, key)
    until = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    typer.echo(f"granted; stored in {profile.folder}: the certificate is valid until {until:%Y-%m-%d}")
    try_login(profile, ask)


def _asking(where: Address, authority: bytes, profile: Profile | None = None, ask: AskPassword | None = None) -> Ask:
    """Return a function that has a server run a command, as the user of a profile or as a guest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ca.pem"
        path.write_bytes(authority)
        credentials = profile.credentials if profile is not None else None
        return _through(where, make_client_context(path, credentials, OwnClient.RUN, ask))


def _through(where: Address, context: ssl.SSLContext) -> Ask:
    def ask(wanted: RunRequest) -> tuple[str, SessionOver]:
        shown, hear = collector()
        over = asyncio.run(request(where, context, wanted, hear))
        return "".join(shown), over

    return ask


def _ask_for_authority(where: Address, fingerprint: str) -> bytes:
    """Return the CA that the server shows, once its fingerprint is the one that the operator has given.

    The connection is not verified. It is used for nothing but the CA, and what comes over it counts for nothing
    before its fingerprint is known to be right.
    """
    found = authorities_of(_through(where, make_unverified_context(OwnClient.RUN)), where)
    return trusted_of(found, fingerprint, f"is shown by {where}")


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    if not names:
        raise OperatorError("the stored certificate has no common name; use: telnetsd enroll")
    return str(names[0].value)
