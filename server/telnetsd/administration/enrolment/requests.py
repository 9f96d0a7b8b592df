"""Enrolment: a client without a certificate requests one, the operator decides, the client collects it.

Everything that an unknown client can make grow is bounded: the requests in total and from one source, their size,
their lifetime, and the number of codes that may be tried. A request is checked before it is stored. The name that it
asks for belongs to no user until the operator approves the request.
"""

import base64
import hmac
import secrets
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from operator import itemgetter
from typing import Final

from telnetsd.administration.authority.authorities import chain_above
from telnetsd.administration.authority.issuing import check_key
from telnetsd.administration.installation.change import changing
from telnetsd.administration.installation.staging import Change
from telnetsd.administration.replication.message import ChangeKind
from telnetsd.administration.users.names import check_user_name
from telnetsd.commands.enrolment_service import Applicant, EnrolmentError, Receipt
from telnetsd.config.settings import EnrolmentSettings
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.events.context import EnrolmentPart
from telnetsd.events.of_changes import EnrolmentCollected, EnrolmentExpired, EnrolmentRequested
from telnetsd.events.reason import EnrolmentReason
from telnetsd.files.home import Home
from telnetsd.listener.admission import find_source, network_of
from telnetsd.pki.authority import to_pem
from telnetsd.state.opening import open_store
from telnetsd.state.records import EnrolmentRequest, RequestKind, RequestStatus
from telnetsd.state.store import Store

CODE_FAILURES_MAX: Final = 5
SUBJECT_MAX_CHARS: Final = 256
_ID_BYTES: Final = 5
_CODE_BYTES: Final = 15
_CODE_GROUP: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Requested:
    """What a client submits: the kind, the name, the key that was proved, and the request or certificate (DER)."""

    kind: RequestKind
    name: str
    subject: str
    public_key: str
    spki_sha256: str
    content: bytes
    replaces_sha256: str | None = None


def take_request(home: Home, settings: EnrolmentSettings, applicant: Applicant, requested: Requested) -> Receipt:
    """Store a request, within the limits.

    Raises:
        EnrolmentError: The request is refused; nothing is stored.
    """
    code = _make_code()
    with changing(home, applicant.fields, ChangeKind.REQUEST) as change:
        forget_expired(change)
        _check_name(requested)
        _check_key(change, requested)
        _check_limits(change, settings, applicant, requested)
        request = EnrolmentRequest(
            id=_encode(secrets.token_bytes(_ID_BYTES)),
            kind=requested.kind,
            name=requested.name,
            subject=escape(requested.subject, SUBJECT_MAX_CHARS),
            public_key=requested.public_key,
            spki_sha256=requested.spki_sha256,
            source=find_source(applicant.source, ()).name,
            requested_at=change.at,
            expires_at=change.at + timedelta(days=settings.expiry_days),
            replaces_sha256=requested.replaces_sha256,
        )
        change.state.requests.add(request, requested.content, _hash_of(code))
        message = f"{request.id}: a certificate for {requested.name} was requested ({requested.kind.value})"
        change.record(EnrolmentRequested(message=message, enrolment=about(request)))
    return Receipt(request.id, request.spki_sha256, code, request.expires_at)


def collect_by_key(home: Home, applicant: Applicant, spki_sha256: str) -> str:
    """Return what was granted for a public key, in PEM, to a client that has proved possession of the key.

    Raises:
        EnrolmentError: There is no request for that key, or it was not granted.
    """
    with closing(open_store(home)) as state:
        # Checked without the lock: a client without a request must not make others wait.
        if not _requests_of(state, spki_sha256):
            raise EnrolmentError(
                EnrolmentReason.NO_REQUEST,
                "no request was made with the key of your certificate; with a one-time code, use: collect ID",
            )
    with changing(home, applicant.fields, ChangeKind.REQUEST) as change:
        forget_expired(change)
        requests = _requests_of(change.state, spki_sha256)
        if not requests:
            raise EnrolmentError(EnrolmentReason.NO_REQUEST, "your request has expired; make a new one")
        return _hand_out(change, requests[0])


def collect_by_code(home: Home, applicant: Applicant, request_id: str, code: str) -> str:
    """Return what was granted, in PEM, to a client that has the one-time code.

    Raises:
        EnrolmentError: There is no such request, the code is wrong or used up, or it was not granted.
    """
    is_right = False
    # A client without the code does not learn whether such a request exists.
    wrong = EnrolmentError(EnrolmentReason.WRONG_CODE, "no request has that id and that code")
    with closing(open_store(home)) as state:
        if state.requests.find(request_id.lower()) is None:
            raise wrong
    with changing(home, applicant.fields, ChangeKind.REQUEST) as change:
        forget_expired(change)
        request = change.state.requests.find(request_id.lower())
        if request is not None and request.code_failures < CODE_FAILURES_MAX:
            is_right = hmac.compare_digest(_hash_of(code), change.state.requests.code_of(request.id))
            if is_right and request.status is not RequestStatus.COLLECTED:
                return _hand_out(change, request)
            if not is_right:
                change.state.requests.count_failure(request.id)
    if is_right:
        raise EnrolmentError(EnrolmentReason.WRONG_CODE, "that code has already been used; it is valid only once")
    raise wrong


def forget_expired(change: Change) -> None:
    """Remove the requests that have expired."""
    for request in change.state.requests.expired(change.at):
        change.state.requests.remove(request.id)
        message = f"{request.id}: the request for {request.name} has expired ({request.status.value})"
        change.record(EnrolmentExpired(message=message, enrolment=about(request)))


def about(request: EnrolmentRequest) -> EnrolmentPart:
    """Return the part of an event that identifies its request."""
    return EnrolmentPart(
        id=request.id,
        kind=request.kind.value,
        name=request.name,
        subject=request.subject,
        spki_sha256=request.spki_sha256,
    )


def _requests_of(state: Store, spki_sha256: str) -> list[EnrolmentRequest]:
    """Return the requests of a key's holder: for the key itself, or to renew a certificate for it."""
    return state.requests.of_key(spki_sha256) or state.requests.replacing_key(spki_sha256)


def _check_name(requested: Requested) -> None:
    if requested.kind is RequestKind.RENEWAL:
        return
    try:
        check_user_name(requested.name)
    except OperatorError as error:
        raise EnrolmentError(EnrolmentReason.NAME_REFUSED, str(error)) from error


def _check_key(change: Change, requested: Requested) -> None:
    if any(one.status is RequestStatus.PENDING for one in change.state.requests.of_key(requested.spki_sha256)):
        raise EnrolmentError(
            EnrolmentReason.ALREADY_REQUESTED, "a request for that key is already waiting for the operator"
        )
    try:
        check_key(change, requested.name, requested.spki_sha256)
    except OperatorError as error:
        # The owner of the key is not disclosed.
        raise EnrolmentError(EnrolmentReason.KEY_REFUSED, "that key is not accepted; generate another one") from error


def _check_limits(change: Change, settings: EnrolmentSettings, applicant: Applicant, requested: Requested) -> None:
    if requested.replaces_sha256 is not None:
        # One for each certificate of a user: requests from unknown clients do not use up the users' share.
        if change.state.requests.has_pending_renewal(requested.replaces_sha256):
            raise EnrolmentError(
                EnrolmentReason.ALREADY_REQUESTED, "a renewal of your certificate is already waiting for the operator"
            )
        return
    if change.state.requests.count_pending_from(find_source(applicant.source, ()).name) >= settings.per_source:
        raise EnrolmentError(
            EnrolmentReason.TOO_MANY_FROM_SOURCE, "too many requests came from your address; tell the operator"
        )
    if change.state.requests.count_pending() >= settings.total:
        waiting = change.state.requests.pending_of_strangers()
        _make_room(change, waiting, find_source(applicant.source, ()).name)


def _make_room(change: Change, waiting: list[EnrolmentRequest], source: str) -> None:
    """Drop the oldest request of the network with the most requests, in favour of a network with fewer.

    Raises:
        EnrolmentError: No network has at least two more requests than the applicant's network.
    """
    counts = Counter(filter(None, (network_of(one.source) for one in waiting)))
    fullest, most = max(counts.items(), key=itemgetter(1), default=("", 0))
    if most <= counts[network_of(source)] + 1:
        raise EnrolmentError(EnrolmentReason.TOO_MANY, "too many requests are pending; try again later")
    dropped = next(one for one in waiting if network_of(one.source) == fullest)
    change.state.requests.remove(dropped.id)
    message = f"{dropped.id}: the request for {dropped.name} was dropped to make room: {fullest} had {most} open"
    event = EnrolmentExpired(reason=EnrolmentReason.GAVE_WAY, message=message, enrolment=about(dropped))
    change.record(event)


def _hand_out(change: Change, request: EnrolmentRequest) -> str:
    match request.status:
        case RequestStatus.PENDING:
            raise EnrolmentError(EnrolmentReason.NOT_DECIDED, f"the operator has not decided on {request.id} yet")
        case RequestStatus.DENIED:
            raise EnrolmentError(EnrolmentReason.DENIED, f"the operator has denied {request.id}")
    der = change.state.certificates.der_of(request.certificate_sha256 or "")
    if der is None:
        raise EnrolmentError(
            EnrolmentReason.NOTHING_TO_COLLECT, "your self-signed certificate was accepted; connect again with it"
        )
    change.state.requests.decide(request.id, RequestStatus.COLLECTED)
    message = f"{request.id}: the certificate for {request.user_name} was collected"
    change.record(EnrolmentCollected(message=message, enrolment=about(request)))
    return to_pem(*chain_above(change.home, der)).decode()


def _make_code() -> str:
    code = _encode(secrets.token_bytes(_CODE_BYTES))
    return "-".join(code[start : start + _CODE_GROUP] for start in range(0, len(code), _CODE_GROUP))


def _hash_of(code: str) -> str:
    return sha256(code.lower().replace("-", "").replace(" ", "").encode()).hexdigest()


def _encode(data: bytes) -> str:
    return base64.b32encode(data).decode().lower()
