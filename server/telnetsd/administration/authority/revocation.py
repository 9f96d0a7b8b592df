"""Revoking a certificate or a pin, permanently or on hold, and restoring one that was on hold.

On this server, state.db decides, and it takes effect immediately: an open session ends within a second. The CRL
informs other systems.
"""

import operator
from dataclasses import dataclass
from functools import partial

from telnetsd.administration.authority.authorities import (
    WAITING,
    AskPassphrase,
    built_in_authorities,
    passphrase_of_environment,
    tell_others,
)
from telnetsd.administration.installation.change import changing
from telnetsd.administration.installation.staging import Change
from telnetsd.administration.installation.turn import is_limited
from telnetsd.administration.replication.message import ChangeKind
from telnetsd.audit.who import revoked
from telnetsd.errors import OperatorError
from telnetsd.events.of_changes import CertificateRestored, CertificateRevoked, PinRestored, PinRevoked
from telnetsd.events.part import Fields
from telnetsd.events.reason import RevocationReason
from telnetsd.files.home import Home
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.pki.revocation import Revocation, still_counts
from telnetsd.state.records import FIRST_DEVICE, IssuedCertificate, Pin, UserRecord


@dataclass(frozen=True, slots=True)
class RevocationTarget:
    """What to revoke or restore.

    Attributes:
        names: Everything of these users.
        serial_number: One certificate, by its serial number (hexadecimal).
        label: Only what these users have for this device; None: everything.
        role: Everything of every user who has this role.
    """

    names: tuple[str, ...] = ()
    serial_number: str | None = None
    label: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True)
class RevocationResult:
    """What was revoked or restored.

    Attributes:
        certificates: The certificates.
        pins: The pins.
        is_hold: Whether they are only on hold.
        spread: In a fleet: how far it has come; else empty.
        warning: Why a new CRL could not be signed; empty if it was.
    """

    certificates: tuple[IssuedCertificate, ...]
    pins: tuple[Pin, ...]
    is_hold: bool
    spread: str
    warning: str


def revoke(
    home: Home,
    target: RevocationTarget,
    reason: RevocationReason,
    who: Fields,
    ask: AskPassphrase = passphrase_of_environment,
) -> RevocationResult:
    """Revoke everything of a target that is not yet revoked, or is only on hold.

    On a node of a fleet that may not make every change, it is put on hold instead.

    Raises:
        OperatorError: There is no such user or certificate, or nothing left to revoke.
    """
    is_limited_here = is_limited(home)
    reason = RevocationReason.CERTIFICATE_HOLD if is_limited_here else reason
    with changing(home, who, ChangeKind.TAKE) as change:
        certificates, pins = _find(change, target)
        if reason is RevocationReason.KEY_COMPROMISE:
            certificates, pins = _with_same_keys(change, certificates, pins)
        # Without that right, a hold is not renewed either.
        counts = partial(operator.is_, None) if is_limited_here else still_counts
        certificates = tuple(one for one in certificates if counts(one.revocation))
        pins = tuple(one for one in pins if counts(one.revocation))
        if not certificates and not pins:
            raise OperatorError(_nothing_to_revoke(change, target))
        _revoke(change, certificates, pins, Revocation(change.at, reason))
    return RevocationResult(
        certificates,
        pins,
        is_hold=reason is RevocationReason.CERTIFICATE_HOLD,
        spread=change.spread,
        warning=WAITING if change.is_waiting else tell_others(home, who, ask),
    )


def restore(
    home: Home, target: RevocationTarget, who: Fields, ask: AskPassphrase = passphrase_of_environment
) -> RevocationResult:
    """Restore what is on hold (certificateHold); every other revocation is permanent.

    Raises:
        OperatorError: There is no such user or certificate, or nothing of it is on hold.
    """
    with changing(home, who) as change:
        certificates, pins = _find(change, target)
        certificates = tuple(one for one in certificates if one.revocation is not None and one.revocation.is_hold)
        _require_known_issuers(home, certificates)
        pins = tuple(one for one in pins if one.revocation is not None and one.revocation.is_hold)
        if not certificates and not pins:
            raise OperatorError(f"nothing of {_shown(target)} is on hold; any other revocation is permanent")
        for one in certificates:
            change.state.certificates.revoke(one.sha256, None)
            message = f"the certificate {one.serial_number} of {one.user_name} is no longer on hold"
            change.record(
                CertificateRestored(
                    message=message,
                    target=one.user_name,
                    serial_number=one.serial_number,
                    sha256=one.sha256.upper(),
                )
            )
        for pin in pins:
            change.state.pins.revoke(pin.spki_sha256, None)
            message = f"the pin SHA256:{pin.spki_sha256} of {pin.user_name} is no longer on hold"
            change.record(PinRestored(message=message, target=pin.user_name, spki_sha256=pin.spki_sha256))
    return RevocationResult(certificates, pins, is_hold=False, spread="", warning=tell_others(home, who, ask))


def _require_known_issuers(home: Home, certificates: tuple[IssuedCertificate, ...]) -> None:
    known = {certificate_sha256(certificate) for certificate, _ in built_in_authorities(home)}
    for one in certificates:
        if one.issuer_sha256 not in known:
            raise OperatorError(
                f"the CA of the certificate {one.serial_number} was retired; renew the certificate instead"
            )


def revoke_all(change: Change, user: UserRecord, reason: RevocationReason) -> None:
    """Revoke everything of a user that is not yet revoked, or is only on hold."""
    certificates = tuple(one for one in user.certificates if still_counts(one.revocation))
    pins = tuple(one for one in user.pins if still_counts(one.revocation))
    _revoke(change, certificates, pins, Revocation(change.at, reason))


def _find(change: Change, target: RevocationTarget) -> tuple[tuple[IssuedCertificate, ...], tuple[Pin, ...]]:
    if target.serial_number is not None:
        serial = target.serial_number.replace(":", "").upper().lstrip("0")
        found = tuple(change.state.certificates.with_serial(serial))
        if not found:
            raise OperatorError(f"no certificate has serial number {target.serial_number!a}; see: telnetsd user show")
        return found, ()
    unknown = [name for name in target.names if not change.state.users.has(name)]
    if unknown and len(target.names) > 1:
        raise OperatorError(f"no user {', '.join(map(ascii, unknown))}; nothing was revoked; see: telnetsd user list")
    users = [change.state.users.require(name) for name in dict.fromkeys(target.names)]
    if target.role is not None:
        users += [one for one in change.state.users.every() if target.role in one.user.roles]
    certificates = tuple(one for user in users for one in user.certificates if target.label in {None, one.label})
    return certificates, tuple(pin for user in users for pin in user.pins if target.label is None)


def _with_same_keys(
    change: Change, certificates: tuple[IssuedCertificate, ...], pins: tuple[Pin, ...]
) -> tuple[tuple[IssuedCertificate, ...], tuple[Pin, ...]]:
    """Add everything that uses the same keys: the holder of a key can use every certificate for it."""
    keys = {one.spki_sha256 for one in certificates} | {pin.spki_sha256 for pin in pins}
    others = [one for key in sorted(keys) for one in change.state.certificates.of_key(key)]
    pinned = [pin for key in sorted(keys) if (pin := change.state.pins.find(key)) is not None]
    return tuple(dict.fromkeys((*certificates, *others))), tuple(dict.fromkeys((*pins, *pinned)))


def _revoke(
    change: Change, certificates: tuple[IssuedCertificate, ...], pins: tuple[Pin, ...], revocation: Revocation
) -> None:
    why = revocation.reason.value
    for one in certificates:
        change.state.certificates.revoke(one.sha256, revocation)
        message = f"the certificate {one.serial_number} of {one.user_name} was revoked ({why})"
        change.record(
            CertificateRevoked(
                message=message,
                revocation=revoked(revocation),
                target=one.user_name,
                serial_number=one.serial_number,
                sha256=one.sha256.upper(),
            )
        )
    for pin in pins:
        change.state.pins.revoke(pin.spki_sha256, revocation)
        message = f"the pin SHA256:{pin.spki_sha256} of {pin.user_name} was revoked ({why})"
        change.record(
            PinRevoked(
                message=message,
                revocation=revoked(revocation),
                target=pin.user_name,
                spki_sha256=pin.spki_sha256,
            )
        )


def _nothing_to_revoke(change: Change, target: RevocationTarget) -> str:
    """Say why nothing of a target can be revoked."""
    if target.role is not None and not target.names:
        return f"nothing to revoke: no user with the role {target.role} has a certificate or a pin that counts"
    found = [change.state.users.require(name) for name in target.names]
    labels = {one.label or FIRST_DEVICE for user in found for one in user.certificates}
    if target.label is not None and (target.label or FIRST_DEVICE) not in labels:
        devices = ", ".join(sorted(labels)) or "none"
        return f"nothing to revoke: {', '.join(target.names)} has no device {target.label}; devices: {devices}"
    return f"nothing to revoke: {_shown(target)} is already revoked, or has no certificate or pin"


def _shown(target: RevocationTarget) -> str:
    if target.serial_number is not None:
        return f"the certificate {target.serial_number}"
    who = ", ".join(target.names) or f"every user with the role {target.role}"
    return f"{who} for {target.label}" if target.label is not None else who
