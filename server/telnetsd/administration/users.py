"""Adding a user: a key, a certificate of the built-in CA, the record of whom it was issued to, and the events."""

import difflib
import getpass
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from telnetsd.administration.material import load_home_authority
from telnetsd.audit.event import Action, Fields, certificate_fields, merge
from telnetsd.audit.log import AuditLog, AuditUnavailableError
from telnetsd.audit.record import make_event
from telnetsd.commands.loading import load_commands
from telnetsd.commands.table import CommandTable
from telnetsd.config import load_settings
from telnetsd.errors import OperatorError
from telnetsd.home import Home, make_secret_folder, write_public, write_secret
from telnetsd.identity.outcome import GUEST_ROLE, User, is_user_name
from telnetsd.pki.authority import Issued, KeyType, make_pkcs12, utc_now
from telnetsd.pki.certificate import certificate_sha256, describe
from telnetsd.state import IssuedCertificate, State

DAYS_MAX: Final = 3650


@dataclass(frozen=True, slots=True)
class UserFiles:
    """What an operator hands to a user."""

    certificate: Path
    key: Path
    pkcs12: Path


@dataclass(frozen=True, slots=True)
class AddedUser:
    """Who was added, with which certificate, and where it is."""

    user: User
    certificate: x509.Certificate
    files: UserFiles


def user_files(home: Home, name: str) -> UserFiles:
    """Return where a user's files are, or would be."""
    folder = home.users_folder
    return UserFiles(folder / f"{name}.pem", folder / f"{name}.key", folder / f"{name}.p12")


def add_user(home: Home, user: User, key_type: KeyType, days: int) -> AddedUser:
    """Add a user and issue a certificate to them, with both events on the audit log.

    Args:
        home: The installation.
        user: The name and the roles.
        key_type: The kind of key that is made for them.
        days: How long the certificate is valid.
    Raises:
        OperatorError: The name cannot be one or is taken, a role is unknown, or something cannot be written.
    """
    _check(home, user, days)
    authority = load_home_authority(home)
    issued = authority.issue_user(user.name, key_type, days, utc_now())
    state, log = State(home.state_file), AuditLog(home.audit_file)
    try:
        with state.transaction():
            state.add_user(user, _record_of(issued, authority.certificate), utc_now())
            files = _write_files(home, user.name, issued, authority.certificate)
            log.append(_events(user, issued))
    except AuditUnavailableError:
        for left in (files.certificate, files.key, files.pkcs12):
            left.unlink(missing_ok=True)
        raise
    finally:
        log.close()
        state.close()
    return AddedUser(user, issued.certificate, files)


def operator_name() -> str:
    """Return the name of whoever runs this command line, for the log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _check(home: Home, user: User, days: int) -> None:
    if user.name == GUEST_ROLE:
        raise OperatorError(
            f"{user.name!r} cannot be a user name: that is what those without one are called; take another"
        )
    if not is_user_name(user.name):
        raise OperatorError(
            f"{user.name!r} cannot be a user name; take 1 to 32 of a-z, 0-9, dot, dash, underscore, a letter first"
        )
    if not 1 <= days <= DAYS_MAX:
        raise OperatorError(f"a certificate cannot be valid for {days} days; take 1 to {DAYS_MAX}")
    known = CommandTable(load_commands(), load_settings(home.config_file).roles).roles
    for role in user.roles:
        if role not in known:
            near = difflib.get_close_matches(role, known, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
            raise OperatorError(f"unknown role {role!r}; {meant}")


def _record_of(issued: Issued, issuer: x509.Certificate) -> IssuedCertificate:
    facts = describe(issued.certificate)
    return IssuedCertificate(
        sha256=facts.sha256,
        issuer_sha256=certificate_sha256(issuer),
        spki_sha256=facts.spki_sha256,
        serial_number=facts.serial_number,
        public_key=f"{facts.public_key_algorithm} {facts.public_key_size}",
        not_before=facts.not_before,
        not_after=facts.not_after,
    )


def _write_files(home: Home, name: str, issued: Issued, issuer: x509.Certificate) -> UserFiles:
    files = user_files(home, name)
    make_secret_folder(home.users_folder)
    write_secret(files.key, issued.key_pem)
    write_secret(files.pkcs12, make_pkcs12(name, issued, [issuer]))
    chain = issued.certificate_pem + home.ca_certificate.read_bytes()
    write_public(files.certificate, chain)
    return files


def _events(user: User, issued: Issued) -> list[Fields]:
    facts = describe(issued.certificate)
    target: Fields = {"target": {"name": user.name, "roles": list(user.roles)}}
    shared: Fields = {"user": target, "telnetsd": {"operator": {"name": operator_name()}}}
    until = f"{facts.not_after:%Y-%m-%d}"
    return [
        make_event(Action.USER_ADDED, f"user {user.name} was added ({', '.join(user.roles)})", shared),
        make_event(
            Action.CERTIFICATE_ISSUED,
            f"a certificate was issued to {user.name}, valid until {until}",
            merge(shared, {"tls": {"client": certificate_fields(facts)}}),
        ),
    ]
