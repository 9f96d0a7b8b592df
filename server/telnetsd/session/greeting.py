"""The words at the door: who the server believes you are, or in plain words why it does not.

Everything that a certificate says is escaped: it may come from anybody.
"""

from datetime import UTC, datetime
from typing import Final

from telnetsd.commands.caller import Permissions
from telnetsd.escaping import escape
from telnetsd.identity.cert_to_name import BUILT_IN_RULE_ID
from telnetsd.identity.outcome import (
    Admitted,
    EndpointReason,
    Guest,
    GuestReason,
    NamedUser,
    Refusal,
    RefusalReason,
    StatusReason,
)
from telnetsd.pki.certificate import CertificateFacts, days_left, key_words
from telnetsd.pki.path_reason import PathProblem, PathReason

NAME_MAX_CHARS: Final = 256
ASK_OPERATOR: Final = "ask the operator for a new certificate"
LOG_FILLED: Final = (
    "refused: guests from where you are have filled their part of the audit log",
    "come with a certificate, or in an hour",
)
AUDIT_UNAVAILABLE: Final = (
    "refused: the audit log cannot be written, and nothing happens here unrecorded; try again later"
)

_NO_CLAIM: Final = CertificateFacts(sha256="")


def greet(identity: Admitted, table: Permissions, at: datetime, window_days: int) -> list[str]:
    """Return the first lines on the screen of somebody who was let in.

    Args:
        identity: Who it is.
        table: The commands.
        at: The current time (aware, UTC).
        window_days: How long before its end a certificate is warned of.
    """
    if isinstance(identity, NamedUser):
        days = days_left(identity.valid_until, at)
        standing = f"{', '.join(identity.roles) or 'no role'}; class {identity.assurance_class}"
        warning = [warn_of_expiry(identity)] if is_expiring(identity, at, window_days) else []
        return [
            f"you are {identity.name} ({standing}); your certificate is valid for another {_days(days)}",
            *warning,
            "type help to see what you may do here",
        ]
    commands = [one.name for one in table.permitted(identity)]
    return [*_explain_guest(identity, "enroll" in commands), f"guests may use: {', '.join(commands)}"]


def is_expiring(identity: NamedUser, at: datetime, window_days: int) -> bool:
    """Tell whether a certificate is in its last days."""
    return days_left(identity.valid_until, at) < window_days


def warn_of_expiry(identity: NamedUser) -> str:
    """Return the warning of a certificate's end, and what to do about it."""
    remedy = "renew it (`renew`), or ask the operator"
    if identity.rule_id != BUILT_IN_RULE_ID:
        remedy = "get another one where it is from, and tell the operator"
    return f"warning: your certificate expires on {_moment(identity.valid_until)}: {remedy}"


def withdraw(identity: Admitted | Refusal) -> str:
    """Return the words for an open session whose certificate does not lead to its user any more."""
    if isinstance(identity, Refusal):
        sentence, _ = _words(identity)
        return f"{sentence}: this session ends"
    if isinstance(identity, NamedUser):
        return "your certificate leads to another user now: this session ends; connect again"
    return "no user is mapped to your certificate any more: this session ends"


def refuse(refusal: Refusal) -> list[str]:
    """Return the words for somebody who is not let in: the reason, and whom to ask."""
    sentence, remedy = _words(refusal)
    return [f"refused: {sentence}", remedy]


def _words(refusal: Refusal) -> tuple[str, str]:
    facts = refusal.certificate or _NO_CLAIM
    subject, issuer = _shown(facts.subject.distinguished_name), _shown(facts.issuer.distinguished_name)
    sentence, remedy = _REFUSALS[refusal.reason]
    since = refusal.revocation.revoked_at if refusal.revocation else facts.not_before
    said = sentence.format(
        subject=subject,
        issuer=issuer,
        not_before=_moment(facts.not_before),
        not_after=_moment(facts.not_after),
        key=key_words(facts.public_key_algorithm, facts.public_key_size),
        fault=_fault(refusal.problem),
        since=_moment(since),
        why=refusal.revocation.reason.value if refusal.revocation else "",
    )
    return said, remedy


def _fault(problem: PathProblem | None) -> str:
    """Return which certificate is at fault, and why, behind a colon; nothing where the reason says it all."""
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
            return [
                f"you are a guest: your certificate is valid ({subject}), but no user is mapped to it",
                "ask the operator to add you",
            ]
        case GuestReason.SELF_SIGNED:
            return [
                f"you are a guest: your certificate is self-signed ({subject}), and nobody here has accepted it",
                f"its public key is SHA256:{facts.spki_sha256}",
                "to ask for acceptance: enroll NAME" if can_enroll else "ask the operator for a certificate",
            ]


_REFUSALS: Final[dict[RefusalReason, tuple[str, str]]] = {
    GuestReason.NO_CERTIFICATE: (
        "your client presented no certificate, and this server takes nobody without one",
        "ask the operator for a certificate",
    ),
    GuestReason.UNMAPPED: (
        "your certificate is valid ({subject}), but no user is mapped to it",
        "ask the operator to add you",
    ),
    GuestReason.SELF_SIGNED: (
        "your certificate is self-signed ({subject}), and nobody here has accepted it",
        "ask the operator for a certificate",
    ),
    PathReason.MALFORMED: ("your certificate cannot be read{fault}", ASK_OPERATOR),
    PathReason.EXPIRED: ("your certificate ({subject}) expired on {not_after}", ASK_OPERATOR),
    PathReason.NOT_YET_VALID: (
        "your certificate ({subject}) is not valid before {not_before}",
        "come back then, or ask the operator",
    ),
    PathReason.UNKNOWN_ISSUER: (
        "your certificate ({subject}) was issued by {issuer}, whom this server does not trust",
        "connect with a certificate that the operator gave you",
    ),
    PathReason.BAD_SIGNATURE: (
        "your certificate ({subject}) names {issuer} as its issuer, but was not signed by it",
        "connect with a certificate that the operator gave you",
    ),
    PathReason.CA_CERTIFICATE: (
        "your certificate ({subject}) is that of a certification authority, which is never a user",
        "connect with your own certificate",
    ),
    PathReason.WRONG_PURPOSE: (
        "your certificate ({subject}) was not issued for clients to log in with",
        ASK_OPERATOR,
    ),
    PathReason.WEAK_KEY: ("the key of your certificate ({subject}: {key}) is too weak or not taken", ASK_OPERATOR),
    PathReason.UNSUPPORTED_KEY: (
        "the key of your certificate ({subject}: {key}) is of a kind that is not supported",
        ASK_OPERATOR,
    ),
    PathReason.WEAK_SIGNATURE: (
        "the signature on your certificate ({subject}) is of a kind too weak",
        ASK_OPERATOR,
    ),
    PathReason.BAD_SERIAL_NUMBER: (
        "the serial number of your certificate ({subject}) is not one that a certificate can have",
        ASK_OPERATOR,
    ),
    EndpointReason.ROLE: (
        "nobody with your roles is taken at this address of the server",
        "connect to another address, or ask the operator",
    ),
    StatusReason.REVOKED: (
        "your certificate ({subject}) was revoked on {since} ({why})",
        "ask the operator",
    ),
    StatusReason.ON_HOLD: ("your certificate ({subject}) is on hold since {since}", "ask the operator"),
    StatusReason.UNKNOWN: (
        "whether your certificate ({subject}) was revoked is not known here: no current CRL covers it",
        "tell the operator",
    ),
    PathReason.UNKNOWN_CRITICAL_EXTENSION: (
        "your certificate ({subject}) carries a critical extension that this server does not know{fault}",
        ASK_OPERATOR,
    ),
    PathReason.BAD_PATH: (
        "the path from your certificate ({subject}) to a trusted authority does not hold{fault}",
        ASK_OPERATOR,
    ),
}


def _shown(name: str) -> str:
    return escape(name, NAME_MAX_CHARS)


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d at %H:%M} UTC"


def _days(count: int) -> str:
    return {0: "few hours", 1: "day"}.get(count, f"{count} days")
