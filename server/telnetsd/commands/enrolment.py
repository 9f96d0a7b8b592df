"""The commands with which a client gets a certificate: enroll, collect, renew."""

from collections.abc import Awaitable, Callable

from telnetsd.commands.caller import Caller, Question
from telnetsd.commands.enrolment_service import Receipt
from telnetsd.commands.table import USER_ROLE, CommandError, command
from telnetsd.events.reason import CertificateStatus, CommandReason, CsrReason
from telnetsd.identity.outcome import GUEST_ROLE, NamedUser
from telnetsd.pki.certification_request import (
    CSR_MAX_BYTES,
    PEM_BEGIN,
    PEM_END,
    CertificationRequest,
    CsrError,
    parse_csr,
)

CODE_MAX_BYTES = 256
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_LABEL_CHARS = 8
_BY_REQUEST = "csr"


@command(
    "enroll",
    summary="request the user name NAME, by certificate or CSR",
    role=GUEST_ROLE,
    usage=f"NAME [{_BY_REQUEST}]",
    arguments=(1, 2),
)
async def enroll(caller: Caller, arguments: str) -> None:
    """Ask for a certificate."""
    name, *how = arguments.split()
    identity = caller.identity
    if isinstance(identity, NamedUser):
        raise CommandError(
            CommandReason.WRONG_USAGE, f"you are already {identity.name}; for a new certificate, use: renew"
        )
    if how and how != [_BY_REQUEST]:
        raise CommandError(CommandReason.WRONG_USAGE, f"usage: enroll NAME [{_BY_REQUEST}]")
    if identity.status is CertificateStatus.PROVISIONAL and identity.certificate is not None and not how:
        receipt = await caller.services.enrolment.request_acceptance(caller.applicant, name, identity.certificate)
        _say_receipt(caller, receipt, is_for_key=True)
        return

    async def take(csr: CertificationRequest) -> None:
        _say_receipt(caller, await caller.services.enrolment.request_certificate(caller.applicant, name, csr))

    _ask_for_request(caller, name, take)


@command(
    "collect",
    summary="fetch a granted certificate, by key or one-time code",
    role=GUEST_ROLE,
    usage="[ID]",
    arguments=(0, 1),
    words_logged=1,
)
async def collect(caller: Caller, arguments: str) -> None:
    """Fetch what was granted."""
    if arguments:

        async def take(code: str) -> None:
            granted = await caller.services.enrolment.collect_by_code(caller.applicant, arguments, code)
            _say_granted(caller, granted)

        caller.ask(Question("code: ", CODE_MAX_BYTES, lambda _, __: True, take))
        return
    certificate = caller.identity.certificate
    if certificate is None:
        raise CommandError(
            CommandReason.WRONG_USAGE, "your client presented no certificate; use collect ID with the code"
        )
    _say_granted(caller, await caller.services.enrolment.collect_by_key(caller.applicant, certificate.spki_sha256))


def _say_granted(caller: Caller, answer: str) -> None:
    """Show a certificate with its chain, and say where to save it; or say that the client's own was accepted."""
    caller.say(answer)
    if _CERTIFICATE not in answer:
        return
    caller.say("save the blocks above as one file, NAME.pem; its key is the one of your request, NAME.key")
    caller.say("then log in with both: telnetsd login HOST NAME.pem NAME.key (`ca` shows the CA, for --ca)")


@command("renew", summary="get a new certificate for a new key: paste its CSR", role=USER_ROLE)
async def renew(caller: Caller, _: str) -> None:
    """Renew over a session that the current certificate authenticates."""
    user = caller.identity
    if not isinstance(user, NamedUser):
        raise CommandError(CommandReason.WRONG_USAGE, "you have no certificate to renew; use: enroll NAME")

    async def take(csr: CertificationRequest) -> None:
        answer = await caller.services.enrolment.renew(caller.applicant, user, csr)
        if isinstance(answer, Receipt):
            _say_receipt(caller, answer)
        else:
            caller.say("your new certificate, with its chain; the current one stays valid until it expires")
            caller.say(answer)

    _ask_for_request(caller, user.name, take)


def _ask_for_request(caller: Caller, name: str, then: Callable[[CertificationRequest], Awaitable[None]]) -> None:
    async def take(text: str) -> None:
        try:
            csr = parse_csr(text.encode(), name)
        except CsrError as error:
            raise CommandError(error.reason, str(error)) from error
        await then(csr)

    caller.say(f"paste a certification request (PEM) for {name}; a single dot cancels")
    caller.ask(Question("", CSR_MAX_BYTES, _is_end_of_pem, take))


def _is_end_of_pem(line: str, is_first: bool) -> bool:
    if is_first and not line.startswith(PEM_BEGIN):
        sentence = f"not a certification request: it must begin with {PEM_BEGIN}CERTIFICATE REQUEST-----"
        raise CommandError(CsrReason.UNREADABLE, sentence)
    return line.startswith(PEM_END)


def _say_receipt(caller: Caller, receipt: Receipt, *, is_for_key: bool = False) -> None:
    """Tell an applicant what to read to the operator, and how to fetch what is granted.

    Args:
        caller: The applicant.
        receipt: What the applicant keeps.
        is_for_key: Whether the client has presented the certificate that is to be accepted.
    """
    caller.note_request(receipt.request_id)
    caller.say("your request was received; read these to the operator over a trusted channel:")
    caller.say(f"{'request':<{_LABEL_CHARS}} {receipt.request_id}")
    caller.say(f"{'key':<{_LABEL_CHARS}} SHA256:{receipt.spki_sha256}")
    if is_for_key:
        caller.say("once it is granted, connect as you did now; you are then logged in")
        caller.say("or fetch a certificate from anywhere, with this code, which you must keep secret:")
    else:
        caller.say("once it is granted, connect again in any way, and fetch the certificate with this code,")
        caller.say("which you must keep secret:")
    caller.say(f"{'collect':<{_LABEL_CHARS}} {receipt.request_id}")
    caller.say(f"{'code':<{_LABEL_CHARS}} {receipt.code}")
    caller.say(f"{'until':<{_LABEL_CHARS}} {receipt.expires_at:%Y-%m-%d %H:%M} UTC")


@command("ca", summary="show the CA certificate by which you verify this server", role=GUEST_ROLE)
async def ca(caller: Caller, _: str) -> None:
    """Show the CA of this server; a client compares its fingerprint with what the operator says."""
    if not caller.services.authority_pem:
        raise CommandError(
            CommandReason.NOT_FOUND, "the certificate of this server is from another CA; ask the operator for it"
        )
    caller.say(caller.services.authority_pem)
