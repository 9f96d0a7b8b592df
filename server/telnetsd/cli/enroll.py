"""telnetsd enroll, renew."""

import asyncio
import ssl
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from rich.console import Console

from telnetsd.cli.common import fail_usage
from telnetsd.cli.login import once, read_ca, tell_kept, trusted_of, try_login
from telnetsd.cli.passphrase import password_from
from telnetsd.cli.target import HostArgument, KeyPasswordOption, parse_host, profile_of
from telnetsd.client.connecting import Address, AskPassword, make_client_context, make_unverified_context
from telnetsd.client.credentials import read_given
from telnetsd.client.enrolment import (
    Ask,
    DecidedError,
    authorities_of,
    file_request,
    key_fingerprint,
    make_key,
    make_request,
    require_own,
    wait_granted,
)
from telnetsd.client.profile import Pending, Profile, Waiting, find_waiting, save_profile
from telnetsd.client.requesting import ask as ask_server
from telnetsd.errors import OperatorError
from telnetsd.identity.outcome import is_user_name
from telnetsd.own_client import OwnClient
from telnetsd.pki.certificate import certificate_sha256


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
    if not is_user_name(name):
        fail_usage("--name takes 1 to 32 of a-z, 0-9, dot, dash, underscore, starting with a letter")
    where = parse_host(address)
    waiting = find_waiting(where, name)
    if waiting is None:
        authority = read_ca(ca) if ca is not None else _ask_for_authority(where, fingerprint)
        waiting = _request(where, name, authority)
    elif ca is not None or fingerprint:
        _require_same_authority(waiting, read_ca(ca) if ca is not None else b"", fingerprint)
    _collect(waiting, _asking(where, waiting.ca), None)


def renew(address: HostArgument, password_file: KeyPasswordOption = None) -> None:
    """Renew a certificate: make a new key, and have the server issue a new certificate for it."""
    profile = profile_of(address)
    if profile is None:
        host = parse_host(address).host
        raise OperatorError(f"nothing is stored for {host}; run: telnetsd login {host} FILE")
    ask = once(password_from(password_file, str(profile.credentials.key)))
    authority = profile.ca.read_bytes()
    asking = _asking(profile.address, authority, profile, ask)
    given = read_given(profile.credentials.certificate, None, ask)
    password = ask() if b"ENCRYPTED" in given.key else None
    # Stored before anything is asked: the answer may be lost, and the key must not be.
    waiting = find_waiting(profile.address, "") or Waiting(
        address=profile.address, name="", pending=Pending("", ""), key=make_key(password), ca=authority
    )
    waiting.save()
    if not waiting.pending.request_id:
        try:
            # Without a name: the server knows who renews, also by another name than that of the old certificate.
            found = file_request(asking, "renew", make_request(waiting.key, password, ""))
        except DecidedError:
            waiting.forget()
            raise
        if isinstance(found, bytes):
            _store(waiting, found, password, ask)
            return
        waiting = replace(waiting, pending=found)
        waiting.save()
    _collect(waiting, asking, ask)


def _request(where: Address, name: str, authority: bytes) -> Waiting:
    key = make_key(None)
    found = file_request(_asking(where, authority), f"enroll {name} csr", make_request(key, None, name))
    if isinstance(found, bytes) or not found.request_id:
        raise OperatorError("the server answered something that no operator has decided; tell the operator")
    waiting = Waiting(address=where, name=name, pending=found, key=key, ca=authority)
    waiting.save()
    return waiting


def _require_same_authority(waiting: Waiting, ca: bytes, fingerprint: str) -> None:
    """Refuse to go on with a request that was made under another CA than the one that is given now."""
    known = x509.load_pem_x509_certificates(waiting.ca)
    wanted = {certificate_sha256(one).upper() for one in (x509.load_pem_x509_certificates(ca) if ca else ())}
    if fingerprint:
        wanted.add(fingerprint.upper().removeprefix("SHA256:").replace(":", ""))
    if not all(certificate_sha256(one).upper() in wanted for one in known):
        raise OperatorError(f"the waiting request was made under another CA; remove {waiting.path}, and enroll again")


def _collect(waiting: Waiting, asking: Ask, ask: AskPassword | None) -> None:
    """Wait until the operator has decided, and store what was granted."""
    password = ask() if ask is not None and b"ENCRYPTED" in waiting.key else None
    typer.echo("read these to the operator over a channel you trust:")
    typer.echo(f"  request  {waiting.pending.request_id or '(see: telnetsd request list)'}")
    typer.echo(f"  key      SHA256:{key_fingerprint(waiting.key, password)}")
    try:
        with Console(stderr=True).status("waiting for the operator; ^C ends this, and the same command goes on"):
            certificates = wait_granted(asking, waiting.pending)
    except DecidedError:
        waiting.forget()
        raise
    _store(waiting, certificates, password, ask)


def _store(waiting: Waiting, certificates: bytes, password: bytes | None, ask: AskPassword | None) -> None:
    leaf = require_own(certificates, waiting.key, password)
    profile, kept = save_profile(waiting.address, waiting.ca, certificates, waiting.key)
    waiting.forget()
    typer.echo(
        f"granted; stored in {profile.folder}: the certificate is valid until {leaf.not_valid_after_utc:%Y-%m-%d}"
    )
    tell_kept(kept)
    try_login(profile, ask)


def _asking(where: Address, authority: bytes, profile: Profile | None = None, ask: AskPassword | None = None) -> Ask:
    """Return a function that has a server run a command, as the user of a profile or as a guest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ca.pem"
        path.write_bytes(authority)
        credentials = profile.credentials if profile is not None else None
        return _through(where, make_client_context(path, credentials, OwnClient.RUN, ask))


def _through(where: Address, context: ssl.SSLContext) -> Ask:
    return lambda wanted: asyncio.run(ask_server(where, context, wanted))


def _ask_for_authority(where: Address, fingerprint: str) -> bytes:
    """Return the CA that the server shows, once its fingerprint is the one that the operator has given.

    The connection is not verified. It is used for nothing but the CA, and what comes over it counts for nothing
    before its fingerprint is known to be right.
    """
    found = authorities_of(_through(where, make_unverified_context(OwnClient.RUN)), where)
    return trusted_of(found, fingerprint, f"is shown by {where}")
