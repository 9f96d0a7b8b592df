"""Issuing a certificate to a user: policy, the check that no other user has the key, the record and the event."""

import re
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.administration.authority.authorities import require_current
from telnetsd.administration.installation.staging import Change
from telnetsd.audit import who
from telnetsd.config.settings import Settings
from telnetsd.errors import OperatorError
from telnetsd.events.context import TargetPart
from telnetsd.events.of_changes import CertificateIssued, CertificateRenewed
from telnetsd.events.reason import RevocationReason
from telnetsd.pki.authority import Authority, UserProfile
from telnetsd.pki.certificate import certificate_sha256, describe, key_sha256
from telnetsd.pki.revocation import Revocation
from telnetsd.state.records import FIRST_DEVICE, IssuedCertificate

DAYS_MAX = 3650
_LABEL = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a certificate is to be.

    Attributes:
        days: How long it is valid; None: as configured.
        assurance_class: Its class; None: no class is asserted.
        label: Which of the user's devices it is for; empty for the first one.
    """

    days: int | None = None
    assurance_class: int | None = None
    label: str = ""


def check_grant(grant: Grant, settings: Settings) -> None:
    """Refuse a grant that is not allowed.

    Raises:
        OperatorError: Too many days, a class that is not defined, or a label that is not allowed.
    """
    if grant.days is not None and not 1 <= grant.days <= DAYS_MAX:
        raise OperatorError(f"a certificate cannot be valid for {grant.days} days; use 1 to {DAYS_MAX}")
    if grant.label and _LABEL.fullmatch(grant.label) is None:
        raise OperatorError(f"not a label: {grant.label!a}; use 1 to 32 of a-z, 0-9 and dash")
    if grant.label == FIRST_DEVICE:
        raise OperatorError(f"{FIRST_DEVICE} is the device that has no label; use another label")
    if grant.assurance_class is not None and grant.assurance_class not in settings.classes:
        number = grant.assurance_class
        raise OperatorError(
            f"no class {number}: define [classes.{number}] with oid, name and checked in telnetsd.toml"
        )


def with_class_of(grant: Grant, replaced: IssuedCertificate, settings: Settings) -> Grant:
    """Return the grant with the label of the replaced certificate, and its class if no other was requested."""
    grant = replace(grant, label=replaced.label)
    if grant.assurance_class is None and replaced.assurance_class in settings.classes:
        return replace(grant, assurance_class=replaced.assurance_class)
    return grant


def check_key(change: Change, name: str, spki_sha256: str) -> None:
    """Refuse a public key that belongs to another user, or that was revoked as compromised.

    Raises:
        OperatorError: The key is refused.
    """
    pin = change.state.pins.find(spki_sha256)
    owners = {change.state.certificates.owner_of_key(spki_sha256), pin.user_name if pin else None} - {None, name}
    if owners:
        raise OperatorError(f"that key already belongs to {', '.join(map(str, owners))}; generate another one")
    is_pin_compromised = pin is not None and _is_compromised(pin.revocation)
    if is_pin_compromised or change.state.certificates.is_compromised(spki_sha256):
        raise OperatorError("that key was revoked as compromised; use another one: --new-key, or another request")


def record_of(
    certificate: x509.Certificate, name: str, issuer_sha256: str, assurance_class: int = 0
) -> IssuedCertificate:
    """Return the state's record of a certificate that was issued to a user, or to no user (an empty name)."""
    facts = describe(certificate)
    return IssuedCertificate(
        sha256=facts.sha256,
        user_name=name,
        issuer_sha256=issuer_sha256,
        spki_sha256=facts.spki_sha256,
        serial_number=facts.serial_number,
        public_key=f"{facts.public_key_algorithm} {facts.public_key_size}",
        not_before=facts.not_before,
        not_after=facts.not_after,
        assurance_class=assurance_class,
    )


def _is_compromised(revocation: Revocation | None) -> bool:
    return revocation is not None and revocation.reason is RevocationReason.KEY_COMPROMISE


def certify(
    change: Change,
    authority: Authority,
    settings: Settings,
    name: str,
    key: CertificatePublicKeyTypes,
    grant: Grant,
    *,
    is_renewal: bool = False,
) -> x509.Certificate:
    """Issue a certificate to a user, and record it.

    Args:
        change: The change that this is part of.
        authority: The CA.
        settings: The policy.
        name: The user.
        key: A public key whose possession has been proved.
        grant: How long the certificate is valid, and its class.
        is_renewal: Whether it replaces another certificate of the user.
    Raises:
        OperatorError: The key belongs to another user or is compromised, or the CA was replaced in the meantime.
    """
    require_current(change.home, authority)
    issuer = authority.issuer_for(key)
    check_key(change, name, key_sha256(key))
    number = grant.assurance_class
    profile = UserProfile(
        name=name,
        days=grant.days or settings.issuing.days,
        policy_oid=settings.classes[number].oid if number is not None else "",
        crl_url=settings.issuing.crl_url,
    )
    certificate = issuer.issue_user(key, profile, change.at)
    facts = describe(certificate)
    issued = record_of(certificate, name, certificate_sha256(issuer.certificate), number or 0)
    change.state.certificates.add(replace(issued, label=grant.label), certificate.public_bytes(Encoding.DER))
    verb = "renewed for" if is_renewal else "issued to"
    message = f"a certificate was {verb} {name}, valid until {facts.not_after:%Y-%m-%d}"
    target = TargetPart(name=name, roles=change.state.users.roles(name))
    event = CertificateRenewed if is_renewal else CertificateIssued
    change.record(
        event(
            message=message,
            target=target,
            certificate=who.certificate(facts),
            issuer_sha256=issued.issuer_sha256,
            spki_sha256=issued.spki_sha256,
        )
    )
    return certificate
