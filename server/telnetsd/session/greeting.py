"""The first text on the screen: who the server believes the user is, or a plain reason for the refusal.

All text from a certificate is escaped: any client may have written it.
"""

from datetime import UTC, datetime
from typing import Final

from telnetsd.commands.caller import Permissions
from telnetsd.escaping import escape
from telnetsd.events.reason import (
    EndReason,
    GuestReason,
    LimitReason,
)
from telnetsd.identity.cert_to_name import BUILT_IN_RULE_ID
from telnetsd.identity.outcome import Admitted, Guest, NamedUser, Refusal
from telnetsd.pki.facts import CertificateFacts, PathProblem, days_left, key_words
from telnetsd.session.clocks import is_expiring

NAME_MAX_CHARS: Final = 256
LOG_FILLED: Final = (f"refused: {LimitReason.LOG_FILLED.sentence}", LimitReason.LOG_FILLED.remedy)
AUDIT_UNAVAILABLE: Final = "refused: the audit log cannot be written, and nothing may run unrecorded; try again later"

_NO_CLAIM: Final = CertificateFacts(sha256="")


def greet(identity: Admitted, table: Permissions, at: datetime, window_days: int) -> list[str]:
    """Return the first lines on the screen of an admitted client.

    Args:
        identity: The client's identity.
        table: The commands.
        at: The current time (aware, UTC).
        window_days: How many days before expiry the certificate warning starts.
    """
    if isinstance(identity, NamedUser):
        days = days_left(identity.valid_until, at)
        standing = f"{', '.join(identity.roles) or 'no role'}; class {identity.assurance_class}"
        warning = [warn_of_expiry(identity)] if is_expiring(identity.valid_until, at, window_days) else []
        return [
            f"you are {identity.name} ({standing}); your certificate ends in {_days(days)}",
            *warning,
            "type help to see what you may do here",
        ]
    commands = [one.name for one in table.permitted(identity)]
    return [*_explain_guest(identity, "enroll" in commands), f"guests may use: {', '.join(commands)}"]


def warn_of_expiry(identity: NamedUser) -> str:
    """Return the warning that a certificate expires, and what to do about it."""
    remedy = "renew it (`renew`), or ask the operator"
    if identity.rule_id != BUILT_IN_RULE_ID:
        remedy = "get a new one from its issuer, and tell the operator"
    return f"warning: your certificate expires on {_moment(identity.valid_until)}: {remedy}"


def warn_of_cut(since: datetime) -> str:
    """Return the warning that this node of a fleet may lack what was changed elsewhere."""
    return f"warning: this server is cut off from its fleet since {_moment(since)}: later changes do not count here"


def withdraw(identity: Admitted | Refusal) -> str:
    """Return the message for an open session whose certificate no longer leads to its user."""
    if isinstance(identity, Refusal):
        sentence, _ = _words(identity)
        return f"{sentence}: this session ends"
    if isinstance(identity, NamedUser):
        return EndReason.OTHER_USER.sentence
    return EndReason.NOT_MAPPED.sentence


def refuse(refusal: Refusal) -> list[str]:
    """Return the text for a refused client: the reason, and whom to ask."""
    sentence, remedy = _words(refusal)
    return [f"refused: {sentence}", remedy]


def _words(refusal: Refusal) -> tuple[str, str]:
    facts = refusal.certificate or _NO_CLAIM
    subject, issuer = _shown(facts.subject.distinguished_name), _shown(facts.issuer.distinguished_name)
    since = refusal.revocation.revoked_at if refusal.revocation else facts.not_before
    said = refusal.reason.sentence.format(
        subject=subject,
        issuer=issuer,
        not_before=_moment(facts.not_before),
        not_after=_moment(facts.not_after),
        key=key_words(facts.public_key_algorithm, facts.public_key_size),
        fault=_fault(refusal.problem),
        since=_moment(since),
        why=refusal.revocation.reason.value if refusal.revocation else "",
    )
    return said, refusal.reason.remedy


def _fault(problem: PathProblem | None) -> str:
    """Return which certificate is at fault, and why, after a colon; empty if the reason says it all."""
    if problem is None or not problem.cause:
        return ""
    return ": " + ": ".join(_shown(text) for text in (problem.subject, problem.cause) if text)


def _explain_guest(guest: Guest, can_enroll: bool) -> list[str]:
    facts = guest.certificate or _NO_CLAIM
    subject = _shown(facts.subject.distinguished_name)
    match guest.reason:
        case GuestReason.NO_CERTIFICATE:
            return ["you are a guest: your client presented no certificate"]
        case GuestReason.UNMAPPED:
            return [f"you are a guest: {guest.reason.sentence.format(subject=subject)}", guest.reason.remedy]
        case GuestReason.SELF_SIGNED:
            return [
                f"you are a guest: {guest.reason.sentence.format(subject=subject)}",
                f"its public key is SHA256:{facts.spki_sha256}",
                "to request acceptance: enroll NAME" if can_enroll else "ask the operator for a certificate",
            ]


def _shown(name: str) -> str:
    return escape(name, NAME_MAX_CHARS)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d at %H:%M} UTC"


def _days(count: int) -> str:
    return {0: "a few hours", 1: "1 day"}.get(count, f"{count} days")
