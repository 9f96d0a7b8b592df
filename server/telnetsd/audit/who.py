"""From an identity and a certificate to the parts of events that describe them.

Text that a peer controls is escaped and bounded here, on its way into an event.
"""

from functools import lru_cache
from typing import Final

import msgspec

from telnetsd.escaping import escape
from telnetsd.events import context
from telnetsd.events.fields import CAUSE_MAX_CHARS, SERIAL_MAX_CHARS, TEXT_MAX_CHARS, timestamp
from telnetsd.events.part import to_fields
from telnetsd.identity.outcome import Guest, Identity, NamedUser, Refusal
from telnetsd.pki.facts import CertificateFacts, NameFacts, PathProblem
from telnetsd.pki.revocation import Revocation

CLAIMED_MAX_BYTES: Final = 2048
"""The maximum size in an event of the certificate of a client without a name, as JSON."""
CERTIFICATES_KEPT: Final = 1024
"""The number of certificates whose part is cached: a client that connects again presents the same one."""
_CLAIMED_TEXT_CHARS: Final = 140


def who_is(identity: Identity) -> context.Who:
    """Return who a client is, or claims to be, with the fingerprint of its certificate: see `presented`."""
    facts = identity.certificate
    sha256 = _hash(facts) if facts is not None else None
    match identity:
        case NamedUser():
            return context.Who(
                kind="user",
                certificate_status=identity.status,
                user_name=identity.name,
                user_roles=identity.roles,
                rule_id=identity.rule_id,
                assurance_class=identity.assurance_class,
                client_sha256=sha256,
            )
        case Guest():
            return context.Who(
                kind="guest",
                certificate_status=identity.status,
                user_roles=identity.roles,
                identity_reason=identity.reason,
                client_sha256=sha256,
            )
        case Refusal():  # pragma: no branch -- there are three kinds
            return context.Who(
                kind="refusal",
                certificate_status=identity.status,
                identity_reason=identity.reason,
                client_sha256=sha256,
            )


def presented(identity: Identity) -> context.CertificatePart | None:
    """Return the certificate that a client presented, for the one event of its session that has it in full.

    For a client without a name it has at most CLAIMED_MAX_BYTES: any client can make a certificate of any length.
    """
    facts = identity.certificate
    if facts is None:
        return None
    return certificate(facts) if isinstance(identity, NamedUser) else _claimed(facts)


def shown_subject(identity: Identity) -> str:
    """Return the subject of a client's certificate for use in a sentence; empty if there is no certificate."""
    subject = identity.certificate.subject.distinguished_name if identity.certificate else ""
    return escape(subject, _CLAIMED_TEXT_CHARS)


def path_fault(problem: PathProblem | None) -> context.PathFault | None:
    """Return which certificate of a path is at fault, and why; None if the reason alone is enough."""
    if problem is None or not problem.cause:
        return None
    subject = escape(problem.subject, _CLAIMED_TEXT_CHARS) if problem.subject else None
    return context.PathFault(cause=escape(problem.cause, CAUSE_MAX_CHARS), subject=subject)


def revoked(revocation: Revocation) -> context.RevocationPart:
    """Return since when and why a certificate is revoked."""
    return context.RevocationPart(revoked_at=timestamp(revocation.revoked_at), reason=revocation.reason)


@lru_cache(maxsize=CERTIFICATES_KEPT)
def certificate(facts: CertificateFacts) -> context.CertificatePart:
    """Return a certificate in the form that ECS defines."""
    names = tuple(escape(name, TEXT_MAX_CHARS) for name in facts.alternative_names)
    return _make(facts, TEXT_MAX_CHARS, _subject_name(facts.subject), _issuer_name(facts.issuer), names or None)


@lru_cache(maxsize=CERTIFICATES_KEPT)
def _claimed(facts: CertificateFacts) -> context.CertificatePart:
    """Return a certificate in CLAIMED_MAX_BYTES; if that is too little, with only the beginning of its names."""
    whole = certificate(facts)
    if len(msgspec.json.encode(to_fields(whole)["tls"]["client"])) <= CLAIMED_MAX_BYTES:
        return whole
    return _make(facts, _CLAIMED_TEXT_CHARS)


def _make(
    facts: CertificateFacts,
    text_max_chars: int,
    subject_name: context.SubjectName | None = None,
    issuer_name: context.IssuerName | None = None,
    alternative_names: tuple[str, ...] | None = None,
) -> context.CertificatePart:
    return context.CertificatePart(
        sha256=_hash(facts),
        subject=escape(facts.subject.distinguished_name, text_max_chars),
        issuer=escape(facts.issuer.distinguished_name, text_max_chars),
        serial_number=escape(facts.serial_number, SERIAL_MAX_CHARS),
        not_before=timestamp(facts.not_before),
        not_after=timestamp(facts.not_after),
        public_key_algorithm=escape(facts.public_key_algorithm, SERIAL_MAX_CHARS),
        public_key_size=facts.public_key_size,
        signature_algorithm=escape(facts.signature_algorithm, SERIAL_MAX_CHARS),
        version_number=str(facts.version),
        subject_name=subject_name,
        issuer_name=issuer_name,
        alternative_names=alternative_names,
    )


def _hash(facts: CertificateFacts) -> str:
    # ECS writes hashes of certificates in upper case.
    return facts.sha256.upper()


def _subject_name(name: NameFacts) -> context.SubjectName:
    return msgspec.convert(_attributes(name), context.SubjectName)


def _issuer_name(name: NameFacts) -> context.IssuerName:
    return msgspec.convert(_attributes(name), context.IssuerName)


def _attributes(name: NameFacts) -> dict[str, str | list[str]]:
    attributes: dict[str, str | list[str]] = {"distinguished_name": escape(name.distinguished_name, TEXT_MAX_CHARS)}
    for key, values in name.attributes:
        attributes[key] = [escape(value, TEXT_MAX_CHARS) for value in values]
    return attributes
