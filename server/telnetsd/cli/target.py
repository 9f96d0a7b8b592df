"""Which server a user means, and what to log in with: from a profile, from the home folder, or from options."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from telnetsd.cli.common import fail_usage
from telnetsd.cli.words import complete_hosts, complete_users
from telnetsd.client.connecting import Address, Credentials, make_client_context
from telnetsd.client.profile import DEFAULT_PORT, Profile, find_profile
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home
from telnetsd.own_client import OwnClient

HostArgument = Annotated[
    str,
    typer.Argument(
        metavar="HOST[:PORT]", help="Default port: that of `login`, else 992.", autocompletion=complete_hosts
    ),
]
UserOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Log in with certs/users/NAME.pem of the home folder.", autocompletion=complete_users
    ),
]
CertOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Log in with this certificate (PEM).")]
KeyOption = Annotated[Path | None, typer.Option(metavar="FILE", help="The key of --cert (PEM).")]
GuestOption = Annotated[bool, typer.Option("--guest", help="Connect without a certificate.")]
CaOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The CA of the server; default: that of `login`, else certs/ca.pem."),
]
KeyPasswordOption = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="The password of the key, if it is encrypted.")
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the options say.

    Attributes:
        address: As it was typed; None for the server of the home folder.
        user: Log in with the files of this user in the home folder.
        certificate, key: Log in with these files.
        guest: Log in with nothing.
        ca: The CA of the server.
    """

    address: str | None
    user: str | None
    certificate: Path | None
    key: Path | None
    guest: bool
    ca: Path | None


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and how to speak to it."""

    address: Address
    context: ssl.SSLContext


def target_of(wish: Wish, home: Home, password_file: Path | None, application: OwnClient) -> Target:
    """Return what the options mean.

    Raises:
        OperatorError: A file is missing or cannot be used.
    """
    from telnetsd.cli.passphrase import password_from

    if (wish.certificate is None) != (wish.key is None):
        fail_usage("use --cert and --key together")
    if sum((wish.user is not None, wish.certificate is not None, wish.guest)) > 1:
        fail_usage("use only one of --user NAME, --cert F with --key F, --guest")
    profile = _profile_of(wish)
    credentials = _credentials_of(wish, home, profile)
    ask = password_from(password_file, str(credentials.key)) if credentials is not None else None
    ca = wish.ca or (profile.ca if profile is not None else home.ca_certificate)
    if not ca.exists() and wish.ca is None:
        host = wish.address or "HOST"
        ways = f"telnetsd login {host} FILE, or: telnetsd enroll {host} --name NAME"
        raise OperatorError(f"no CA by which to verify {host}; first: {ways}")
    context = make_client_context(ca, credentials, application, ask)
    return Target(_address_of(wish.address, home, profile), context)


def parse_host(text: str) -> Address:
    """Return the address that was typed as HOST or HOST:PORT; the default port is that of telnets.

    Raises:
        OperatorError: It is not an address.
    """
    from telnetsd.config.address import parse_address

    return Address(*parse_address(text if _has_port(text) else f"{text}:{DEFAULT_PORT}"))


def _has_port(text: str) -> bool:
    return text.count(":") == 1 or text.rpartition("]")[2].startswith(":")


def profile_of(text: str) -> Profile | None:
    """Return the profile of a server that was typed as HOST or HOST:PORT.

    Raises:
        OperatorError: It is not an address, or the profile cannot be used.
    """
    address = parse_host(text)
    return find_profile(address.host, address.port if _has_port(text) else None)


def _profile_of(wish: Wish) -> Profile | None:
    """Return the profile of the host, unless a user or a CA of the home folder is meant."""
    return profile_of(wish.address) if wish.address is not None and wish.user is None else None


def _credentials_of(wish: Wish, home: Home, profile: Profile | None) -> Credentials | None:
    if wish.guest:
        return None
    if wish.certificate is not None and wish.key is not None:
        return Credentials(wish.certificate, wish.key)
    if wish.user is None:
        return profile.credentials if profile is not None else None
    certificate, key = (home.users_folder / f"{wish.user}.{suffix}" for suffix in ("pem", "key"))
    if not key.exists():
        raise OperatorError(f"no user {wish.user} here: {home.shown(key)} not found; see: telnetsd user list")
    return Credentials(certificate, key)


def _address_of(text: str | None, home: Home, profile: Profile | None) -> Address:
    if text is not None:
        return profile.address if profile is not None and not _has_port(text) else parse_host(text)
    from telnetsd.config.address import parse_address
    from telnetsd.config.loading import load_settings

    return Address(*parse_address(load_settings(home.config_file).listener.listen))
