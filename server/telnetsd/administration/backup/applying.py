"""Applying what happened after a backup to what is restored from it: see `later`."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from telnetsd.administration.authority.trust import list_trust
from telnetsd.administration.backup.later import LaterChange, LaterLog
from telnetsd.administration.users.credentials import all_user_files, moved_user_files
from telnetsd.audit.key import load_public_keys
from telnetsd.audit.reading.row import MESSAGE_MAX_CHARS, value_of
from telnetsd.escaping import escape
from telnetsd.events import of_changes as c
from telnetsd.events.fields import parse_timestamp
from telnetsd.events.of_the_server import AuditKeyChanged
from telnetsd.events.reason import RevocationReason
from telnetsd.files.atomic import make_secret_folder, write_public
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User, is_user_name
from telnetsd.pki.authority import to_pem, utc_now
from telnetsd.pki.revocation import Revocation, still_counts
from telnetsd.pki.trust import load_certificates
from telnetsd.state.records import IssuedCertificate, UserRecord
from telnetsd.state.store import Store

_SHA256: Final = re.compile("[0-9a-f]{64}")
_SERIAL: Final = re.compile("[0-9A-F]{1,40}")


@dataclass(slots=True)
class Applied:
    """What was applied, and what neither the backup nor the log can bring back.

    Attributes:
        done: What was applied, by its kind, with how often.
        users: The users who were given something after the backup: a certificate, a pin, an account.
        again: What else has to be done again, as sentences.
        left_out: How many changes were left out, since they give something back and no signature covers them.
        unknown: How many revocations are of certificates that are neither in the backup nor described by the log.
    """

    done: Counter[str] = field(default_factory=Counter)
    users: dict[str, None] = field(default_factory=dict)
    again: list[str] = field(default_factory=list)
    left_out: int = 0
    unknown: int = 0


def apply_later(home: Home, state: Store, later: LaterLog) -> Applied:
    """Apply the changes of a log to an installation that no other process uses; inside a transaction of its store.

    Raises:
        OperatorError: A CA certificate of the installation cannot be read.
    """
    applying = _Applying(home, state)
    for change in later.changes:
        _HANDLERS.get(change.action, _Applying.ignore)(applying, change)
    return applying.applied


class _Applying:
    """One method for each kind of change."""

    def __init__(self, home: Home, state: Store) -> None:
        self._home = home
        self._state = state
        self._issued: dict[str, IssuedCertificate] = {}
        """The certificates that were issued after the backup, by SHA-256."""
        self._aliases: dict[str, str] = {}
        """The names of users whose renaming was left out, by the new name."""
        self.applied = Applied()

    def ignore(self, change: LaterChange) -> None:
        """Leave out what gives and takes nothing."""

    def revoke_certificate(self, change: LaterChange) -> None:
        """Revoke a certificate, or put it on hold."""
        found = self._certificates_of(change)
        self.applied.unknown += not found
        for one in found:
            if still_counts(one.revocation):
                self._state.certificates.revoke(one.sha256, _revocation_of(change, one.not_before))
                self.applied.done["revocation"] += 1

    def restore_certificate(self, change: LaterChange) -> None:
        """End a hold."""
        for one in self._certificates_of(change):
            if self._may_lift(one.revocation, change):
                self._state.certificates.revoke(one.sha256, None)
                self.applied.done["lifted hold"] += 1

    def revoke_pin(self, change: LaterChange) -> None:
        """Revoke a pin, or put it on hold."""
        pin = self._state.pins.find(change.text("telnetsd.pin.spki_sha256"))
        if pin is not None and still_counts(pin.revocation):
            self._state.pins.revoke(pin.spki_sha256, _revocation_of(change, pin.added_at))
            self.applied.done["revocation"] += 1

    def restore_pin(self, change: LaterChange) -> None:
        """End the hold of a pin."""
        pin = self._state.pins.find(change.text("telnetsd.pin.spki_sha256"))
        if pin is not None and self._may_lift(pin.revocation, change):
            self._state.pins.revoke(pin.spki_sha256, None)
            self.applied.done["lifted hold"] += 1

    def change_user(self, change: LaterChange) -> None:
        """Change a user's roles; if the line is not signed, only take away."""
        found = self._user_of(change)
        listed = value_of(change.event, "user.target.roles")
        if found is None or not isinstance(listed, list):
            return
        roles = tuple(one for one in listed if isinstance(one, str))
        # Events of older versions do not say whether the user is mapped.
        stated = value_of(change.event, "telnetsd.target.is_mapped")
        is_mapped = stated is True if isinstance(stated, bool) else found.is_mapped
        if not change.is_signed:
            self.applied.left_out += not set(roles) <= set(found.user.roles)
            roles = tuple(one for one in roles if one in found.user.roles)
            is_mapped = is_mapped and found.is_mapped
        self._state.users.change(User(found.user.name, roles), is_mapped=is_mapped)
        self.applied.done["role change"] += 1

    def rename_user(self, change: LaterChange) -> None:
        """Rename a user; the former name stays reserved."""
        user, new = self._user_of(change), change.text("user.changes.name")
        if user is None or not is_user_name(new):
            return
        name = user.user.name
        if not change.is_signed or self._state.users.has(new):
            self._aliases[new] = name
            self.applied.again.append(f"{name} was renamed to {new}")
            return
        for path, moved in moved_user_files(self._home, name, new):
            make_secret_folder(moved.parent)
            path.replace(moved)
        self._state.users.rename(name, new)
        self.applied.done["rename"] += 1

    def remove_user(self, change: LaterChange) -> None:
        """Remove a user, with everything that identifies them."""
        found, name = self._user_of(change), change.text("user.target.name")
        self.applied.users.pop(name, None)
        if found is None:
            return
        name = found.user.name
        revocation = Revocation(min(_time_of(change), utc_now()), RevocationReason.CESSATION_OF_OPERATION)
        for one in (one for one in found.certificates if still_counts(one.revocation)):
            self._state.certificates.revoke(one.sha256, revocation)
        for pin in (one for one in found.pins if still_counts(one.revocation)):
            self._state.pins.revoke(pin.spki_sha256, revocation)
        for path in all_user_files(self._home, name):
            path.unlink()
        self._state.users.remove(name)
        self.applied.done["removal"] += 1

    def distrust(self, change: LaterChange) -> None:
        """Remove a trust anchor or an intermediate of another CA."""
        wanted = change.text("tls.client.hash.sha256").lower()
        for known in list_trust(self._home):
            path = self._home.root / known.source
            if known.sha256 != wanted or path == self._home.ca_certificate:
                continue
            left = [one.certificate for one in load_certificates(path, known.source)]
            left.remove(known.certificate)
            if left:
                write_public(path, to_pem(*left))
            else:
                path.unlink()
            self.applied.done["removal"] += 1

    def lose_gift(self, change: LaterChange) -> None:
        """Note that a user was given something; a certificate is remembered, in case it was revoked later."""
        name = change.text("user.target.name")
        if is_user_name(name):
            self.applied.users[name] = None
            issued = _record_of(change) if change.is_signed else None
            if issued is not None and not self._state.certificates.has(issued.issuer_sha256, issued.serial_number):
                self._issued[issued.sha256] = issued

    def leave_to_operator(self, change: LaterChange) -> None:
        """Note a change that needs a key or a certificate which is not in the backup.

        What a retired CA issued was revoked with it, by events of their own.
        """
        self.applied.again.append(escape(change.text("message"), MESSAGE_MAX_CHARS))

    def note_key(self, change: LaterChange) -> None:
        """Note an audit key that is not in the backup."""
        if change.text("telnetsd.audit.key_id") not in load_public_keys(self._home.audit_public_keys).by_id:
            self.leave_to_operator(change)

    def _user_of(self, change: LaterChange) -> UserRecord | None:
        name = change.text("user.target.name")
        return self._state.users.find(self._aliases.get(name, name))

    def _may_lift(self, revocation: Revocation | None, change: LaterChange) -> bool:
        if revocation is None or not revocation.is_hold:
            return False
        self.applied.left_out += not change.is_signed
        return change.is_signed

    def _certificates_of(self, change: LaterChange) -> list[IssuedCertificate]:
        sha256 = change.text("tls.client.hash.sha256").lower()
        if sha256 in self._issued:
            # It identifies no user, but other systems have to learn from the CRL that it was revoked.
            self._state.certificates.add(self._issued.pop(sha256), None)
        found = self._state.certificates.find(sha256)
        if found is not None:
            return [found]
        serial = change.text("tls.client.x509.serial_number")
        return self._state.certificates.with_serial(serial) if serial else []


def _record_of(change: LaterChange) -> IssuedCertificate | None:
    """Return the record of a certificate that the log says was issued; None if the log does not say enough."""
    not_before = parse_timestamp(change.text("tls.client.x509.not_before"))
    not_after = parse_timestamp(change.text("tls.client.x509.not_after"))
    issuer, spki = change.text("telnetsd.certificate.issuer_sha256"), change.text("telnetsd.certificate.spki_sha256")
    serial = change.text("tls.client.x509.serial_number")
    is_whole = _SHA256.fullmatch(issuer) and _SHA256.fullmatch(spki) and _SERIAL.fullmatch(serial)
    if not is_whole or not_before is None or not_after is None:
        return None
    return IssuedCertificate(
        sha256=change.text("tls.client.hash.sha256").lower(),
        user_name=change.text("user.target.name"),
        issuer_sha256=issuer,
        spki_sha256=spki,
        serial_number=serial,
        public_key="",
        not_before=not_before,
        not_after=not_after,
    )


def _revocation_of(change: LaterChange, earliest: datetime) -> Revocation:
    """Return a revocation; a line that is not signed may state any time."""
    stated = parse_timestamp(change.text("telnetsd.certificate.revoked_at")) or _time_of(change)
    try:
        reason = RevocationReason(change.text("telnetsd.certificate.revocation_reason"))
    except ValueError:
        reason = RevocationReason.UNSPECIFIED
    return Revocation(min(max(stated, earliest), utc_now()), reason)


def _time_of(change: LaterChange) -> datetime:
    return parse_timestamp(change.text("@timestamp")) or utc_now()


_HANDLERS: Final[Mapping[str, Callable[[_Applying, LaterChange], None]]] = {
    c.CertificateRevoked.action: _Applying.revoke_certificate,
    c.CertificateRestored.action: _Applying.restore_certificate,
    c.PinRevoked.action: _Applying.revoke_pin,
    c.PinRestored.action: _Applying.restore_pin,
    c.UserChanged.action: _Applying.change_user,
    c.UserRenamed.action: _Applying.rename_user,
    c.UserRemoved.action: _Applying.remove_user,
    c.TrustAnchorRemoved.action: _Applying.distrust,
    c.UserAdded.action: _Applying.lose_gift,
    c.CertificateIssued.action: _Applying.lose_gift,
    c.CertificateRenewed.action: _Applying.lose_gift,
    c.PinAdded.action: _Applying.lose_gift,
    c.TrustAnchorAdded.action: _Applying.leave_to_operator,
    c.CaRotated.action: _Applying.leave_to_operator,
    c.CaRetired.action: _Applying.leave_to_operator,
    AuditKeyChanged.action: _Applying.note_key,
}
