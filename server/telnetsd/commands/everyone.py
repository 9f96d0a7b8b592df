"""The commands that guests have as well: help, whoami, motd, quit."""

from collections.abc import Sequence
from datetime import UTC, datetime

from telnetsd.commands.caller import Caller
from telnetsd.commands.table import command
from telnetsd.escaping import escape
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.identity.outcome import GUEST_ROLE, NamedUser
from telnetsd.pki.facts import CertificateFacts, days_left, key_words

_LABEL_CHARS = 12


async def _complete_command(caller: Caller) -> Sequence[str]:
    return [one.name for one in caller.services.table.permitted(caller.identity)]


@command(
    "help",
    summary="list your commands, or show how one is used",
    role=GUEST_ROLE,
    usage="[COMMAND]",
    arguments=(0, 1),
    aliases=("?",),
    completes=_complete_command,
)
async def help_(caller: Caller, arguments: str) -> None:
    """List the caller's commands, or explain one of them."""
    table = caller.services.table
    if arguments:
        one = table.authorise(arguments, caller.identity)
        caller.say(f"usage: {one.synopsis}")
        caller.say(one.summary)
        if one.aliases:
            caller.say(f"also: {', '.join(one.aliases)}")
        return
    commands = table.permitted(caller.identity)
    width = max((len(one.synopsis) for one in commands), default=0)
    for one in commands:
        caller.say(f"{one.synopsis:<{width}}  {one.summary}")


@command("whoami", summary="show who you are, and by which certificate", role=GUEST_ROLE)
async def whoami(caller: Caller, _: str) -> None:
    """Show the identity, the certificate in full, and the connection."""
    identity = caller.identity
    if isinstance(identity, NamedUser):
        _say(caller, "user", identity.name)
        _say(caller, "roles", ", ".join(identity.roles) or "none")
        meaning = f" ({escape(identity.class_name, TEXT_MAX_CHARS)})" if identity.class_name else ""
        _say(caller, "class", f"{identity.assurance_class}{meaning}")
        _say(caller, "mapped by", identity.rule_id)
    else:
        _say(caller, "user", f"none: you are a guest ({identity.reason.value})")
    if identity.certificate is not None:
        _say_certificate(caller, identity.certificate)
    if not isinstance(identity, NamedUser):
        _say(caller, "certificate", identity.status.value)
    tls = caller.tls
    resumed = ", resumed" if tls.resumed else ""
    _say(caller, "connection", f"TLS {tls.version}, {tls.cipher}, {tls.group or 'no group'}{resumed}")
    _say(caller, "from", caller.source)
    _say(caller, "session", caller.id)


@command("motd", summary="show the message of the day", role=GUEST_ROLE)
async def motd(caller: Caller, _: str) -> None:
    """Show the operator's message to all users."""
    caller.say(caller.services.motd)


@command("quit", summary="end this session (^D does as well)", role=GUEST_ROLE, aliases=("logout", "exit"))
async def quit_(caller: Caller, _: str) -> None:
    """End the session."""
    caller.leave()


def _say(caller: Caller, label: str, text: str) -> None:
    caller.say(f"{label:<{_LABEL_CHARS}} {text}")


def _say_certificate(caller: Caller, facts: CertificateFacts) -> None:
    days = days_left(facts.not_after, datetime.now(UTC))
    _say(caller, "subject", escape(facts.subject.distinguished_name, TEXT_MAX_CHARS))
    _say(caller, "issuer", escape(facts.issuer.distinguished_name, TEXT_MAX_CHARS))
    _say(caller, "serial", facts.serial_number)
    _say(caller, "valid", f"{facts.not_before:%Y-%m-%d %H:%M} to {facts.not_after:%Y-%m-%d %H:%M} UTC")
    _say(caller, "days left", str(days))
    _say(caller, "key", key_words(facts.public_key_algorithm, facts.public_key_size))
    _say(caller, "signature", facts.signature_algorithm)
    _say(caller, "fingerprint", f"SHA256:{facts.sha256}")
    _say(caller, "public key", f"SHA256:{facts.spki_sha256}")
    if facts.alternative_names:
        _say(caller, "names", ", ".join(escape(name, TEXT_MAX_CHARS) for name in facts.alternative_names))
