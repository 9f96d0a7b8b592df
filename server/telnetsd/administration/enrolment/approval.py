"""The operator's side of enrolment: approving or denying a request."""

from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

from telnetsd.administration.authority.authorities import AskPassphrase, load_issuer, passphrase_of_environment
from telnetsd.administration.authority.issuing import Grant, certify, check_grant, with_class_of
from telnetsd.administration.enrolment.requests import about, forget_expired
from telnetsd.administration.installation.change import changing
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.installation.staging import Change
from telnetsd.administration.installation.turn import is_limited
from telnetsd.administration.replication.message import ChangeKind
from telnetsd.administration.users.credentials import Issuance, write_chain
from telnetsd.administration.users.users import NewUser, check_new_user, insert_user, pin_key, require_free_label
from telnetsd.config.loading import load_settings
from telnetsd.config.settings import Settings
from telnetsd.errors import OperatorError
from telnetsd.events.of_changes import EnrolmentApproved, EnrolmentDenied
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.authority import Authority
from telnetsd.pki.certificate import certificate_sha256, key_sha256
from telnetsd.state.records import EnrolmentRequest, RequestKind, RequestStatus


@dataclass(frozen=True, slots=True)
class Approval:
    """What the operator grants.

    Attributes:
        name: The user, new or existing. None: the requested name, if no user has it yet.
        roles: The roles of a new user; empty for an existing user.
        grant: How long the certificate is valid, and its class.
        is_pin: Accept the self-signed certificate as it is, and issue none.
        is_similar_allowed: Accept a new name although it is easily misread as another user's.
    """

    name: str | None
    roles: tuple[str, ...]
    grant: Grant
    is_pin: bool = False
    is_similar_allowed: bool = False


def approve_request(
    home: Home, request_id: str, approval: Approval, default_role: str, ask: AskPassphrase = passphrase_of_environment
) -> Issuance:
    """Approve a request: issue a certificate of the built-in CA, or add a pin.

    Raises:
        OperatorError: There is no such request, it was decided already, or it cannot be approved in this way.
    """
    settings = load_settings(home.config_file)
    check_grant(approval.grant, settings)
    authority = None if approval.is_pin else load_issuer(home, ask)
    with changing(home, by_operator()) as change:
        forget_expired(change)
        request = _require_pending(change, request_id)
        user = _user_for(change, settings, request, approval, default_role)
        if authority is None:
            issuance = _pin(change, request, user)
        else:
            issuance = _certify(change, authority, settings, request, user, approval.grant)
        sha256 = certificate_sha256(issuance.certificate) if issuance.certificate else ""
        change.state.requests.decide(request.id, RequestStatus.APPROVED, user.name, sha256)
        how = "accepted as it is" if authority is None else "approved"
        message = f"{request.id}: {how}, for {user.name}"
        change.record(EnrolmentApproved(message=message, enrolment=about(request), target=user.name))
    return issuance


def deny_request(home: Home, request_id: str) -> EnrolmentRequest:
    """Deny a request.

    Raises:
        OperatorError: There is no such request, it was decided already, or this node of a fleet may not decide.
    """
    if is_limited(home):
        raise OperatorError("this node may not decide about requests; do it on a node that may make every change")
    with changing(home, by_operator(), ChangeKind.TAKE) as change:
        forget_expired(change)
        request = _require_pending(change, request_id)
        change.state.requests.decide(request.id, RequestStatus.DENIED)
        message = f"{request.id}: the request for {request.name} was denied"
        change.record(EnrolmentDenied(message=message, enrolment=about(request)))
    return request


def _require_pending(change: Change, request_id: str) -> EnrolmentRequest:
    request = change.state.requests.find(request_id.lower())
    if request is None:
        raise OperatorError(f"no request {request_id!a}; see: telnetsd request list")
    if request.status is not RequestStatus.PENDING:
        raise OperatorError(f"{request.id} has already been decided: it is {request.status.value}")
    return request


def _user_for(
    change: Change, settings: Settings, request: EnrolmentRequest, approval: Approval, default_role: str
) -> User:
    if request.kind is RequestKind.RENEWAL:
        if approval.name not in {None, request.name} or approval.is_pin or approval.roles:
            raise OperatorError(
                f"{request.id} is a renewal by {request.name}; approve it without --user, --role and --pin"
            )
        return change.state.users.require(request.name).user
    name = approval.name or request.name
    if change.state.users.has(name):
        if approval.name is None:
            raise OperatorError(f"user {name} already exists; if the request is theirs, add --user {name}")
        if approval.roles:
            raise OperatorError(f"{name} already has roles; to change them: telnetsd user change {name} --role ROLE")
        return change.state.users.require(name).user
    user = User(name, approval.roles or (default_role,))
    check_new_user(user, settings)
    insert_user(change, NewUser(user, is_similar_allowed=approval.is_similar_allowed))
    return user


def _pin(change: Change, request: EnrolmentRequest, user: User) -> Issuance:
    if request.kind is not RequestKind.SELF_SIGNED:
        raise OperatorError(f"{request.id} has no self-signed certificate to accept; approve it without --pin")
    pin_key(change, user.name, request.spki_sha256)
    return Issuance(user, None, ())


def _certify(
    change: Change, authority: Authority, settings: Settings, request: EnrolmentRequest, user: User, grant: Grant
) -> Issuance:
    key = _key_of(request, change.state.requests.content_of(request.id))
    if request.replaces_sha256 is None:
        found = change.state.users.require(user.name)
        if found.certificates and not grant.label:
            grant = replace(grant, label=request.id)
        require_free_label(found, grant.label, change.at)
        certificate = certify(change, authority, settings, user.name, key, grant)
        return Issuance(user, certificate, (write_chain(change, user.name, certificate, authority, grant.label),))
    grant = inherit_class(change, settings, request.replaces_sha256, grant)
    certificate = certify(change, authority, settings, user.name, key, grant, is_renewal=True)
    change.state.certificates.mark_renewed(request.replaces_sha256)
    return Issuance(user, certificate, ())


def inherit_class(change: Change, settings: Settings, replaced_sha256: str, grant: Grant) -> Grant:
    """Give a renewed certificate the class of the one that it replaces, unless the operator chose another class.

    Raises:
        OperatorError: The replaced certificate was revoked, or has a successor already.
    """
    replaced = change.state.certificates.find(replaced_sha256)
    if replaced is None or replaced.revocation is not None:
        raise OperatorError("the certificate to be renewed has been revoked in the meantime")
    if replaced.is_renewed:
        raise OperatorError("the certificate to be renewed already has a successor; deny the request")
    return with_class_of(grant, replaced, settings)


def _key_of(request: EnrolmentRequest, content: bytes) -> CertificatePublicKeyTypes:
    """Return the key of a request: the one whose fingerprint the operator has seen.

    Raises:
        OperatorError: It is another one, or cannot be read: another node of the fleet stored it so.
    """
    try:
        if request.kind is RequestKind.SELF_SIGNED:
            key = x509.load_der_x509_certificate(content).public_key()
        else:
            key = x509.load_der_x509_csr(content).public_key()
        is_right = key_sha256(key) == request.spki_sha256
    except (ValueError, UnsupportedAlgorithm) as error:
        raise OperatorError(f"{request.id} has no key that can be read: {error}; deny it") from error
    if not is_right:
        raise OperatorError(f"{request.id} has another key than the one that it shows; deny it")
    return key
