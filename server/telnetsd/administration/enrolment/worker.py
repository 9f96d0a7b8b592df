"""Enrolment in a running server: each request from a command is carried out in a thread, in one change."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final, ParamSpec, TypeVar

from telnetsd.administration.authority.authorities import AskPassphrase, chain_above, encode_chain, load_issuer
from telnetsd.administration.authority.issuing import Grant, certify
from telnetsd.administration.enrolment.approval import inherit_class
from telnetsd.administration.enrolment.requests import Requested, collect_by_code, collect_by_key, take_request
from telnetsd.administration.installation.change import changing
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.commands.enrolment_service import Applicant, EnrolmentError, Receipt
from telnetsd.config.settings import Settings
from telnetsd.config.values import RenewalPolicy
from telnetsd.errors import OperatorError
from telnetsd.events.reason import EnrolmentReason
from telnetsd.files.home import Home
from telnetsd.identity.outcome import NamedUser
from telnetsd.pki.authority import Authority, to_pem, utc_now
from telnetsd.pki.certificate import key_sha256, parse_certificate
from telnetsd.pki.certification_request import CertificationRequest
from telnetsd.pki.facts import CertificateFacts, days_left
from telnetsd.pki.keys import SUPPORTED_KEYS, is_strong_key
from telnetsd.state.opening import open_store
from telnetsd.state.records import IssuedCertificate, RequestKind
from telnetsd.state.store import Store

THREADS: Final = 2
WAITING_MAX: Final = 32
BUSY: Final = "the server is busy with other requests; try again in a moment"
_threads: Final = ThreadPoolExecutor(THREADS, thread_name_prefix="enrolment")
_P = ParamSpec("_P")
_T = TypeVar("_T")

logger = logging.getLogger(__name__)


def stop_enrolment() -> None:
    """Finish the work in progress and start no more; called when a server stops."""
    _threads.shutdown(cancel_futures=True)


class EnrolmentWorker:
    """Answers the enrolment commands of one generation.

    Args:
        home: The installation.
        settings: The limits and the policies.
        ask: Returns the passphrase of the CA's key.
    """

    def __init__(self, home: Home, settings: Settings, ask: AskPassphrase) -> None:
        self._home = home
        self._settings = settings
        self._ask = ask
        self._waiting = 0

    async def request_acceptance(self, applicant: Applicant, name: str, certificate: CertificateFacts) -> Receipt:
        """Accept a request for the key of a self-signed certificate."""
        self._require_open()
        if not is_strong_key(parse_certificate(applicant.leaf_der).public_key()):
            raise EnrolmentError(
                EnrolmentReason.KEY_REFUSED,
                f"that key is too weak or not accepted; use {SUPPORTED_KEYS}",
            )
        requested = Requested(
            kind=RequestKind.SELF_SIGNED,
            name=name,
            subject=certificate.subject.distinguished_name,
            public_key=f"{certificate.public_key_algorithm} {certificate.public_key_size}",
            spki_sha256=certificate.spki_sha256,
            content=applicant.leaf_der,
        )
        return await self._do(take_request, self._home, self._settings.enrolment, applicant, requested)

    async def request_certificate(self, applicant: Applicant, name: str, csr: CertificationRequest) -> Receipt:
        """Accept a request for the key of a certification request."""
        self._require_open()
        requested = _wish_of(RequestKind.CSR, name, csr)
        return await self._do(take_request, self._home, self._settings.enrolment, applicant, requested)

    async def collect_by_key(self, applicant: Applicant, spki_sha256: str) -> str:
        """Return what was granted for a key."""
        return await self._do(collect_by_key, self._home, applicant, spki_sha256)

    async def collect_by_code(self, applicant: Applicant, request_id: str, code: str) -> str:
        """Return what was granted, once, for a code."""
        return await self._do(collect_by_code, self._home, applicant, request_id, code)

    async def renew(self, applicant: Applicant, user: NamedUser, csr: CertificationRequest) -> str | Receipt:
        """Renew immediately, or accept a request, as the policy says."""
        return await self._do(self._renew, applicant, user, csr)

    async def _do(self, work: Callable[_P, _T], *arguments: _P.args, **options: _P.kwargs) -> _T:
        """Run some work in one of the enrolment threads, so that unknown clients delay only each other.

        Raises:
            EnrolmentError: Too many requests wait already, or a change by the operator takes too long.
        """
        if self._waiting >= WAITING_MAX:
            raise EnrolmentError(EnrolmentReason.BUSY, BUSY)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(_threads, partial(work, *arguments, **options))
        except AuditUnavailableError:
            raise
        except OperatorError as error:
            logger.warning("%s", error)
            raise EnrolmentError(EnrolmentReason.BUSY, BUSY) from error
        finally:
            self._waiting -= 1

    def _renew(self, applicant: Applicant, user: NamedUser, csr: CertificationRequest) -> str | Receipt:
        settings = self._settings
        if settings.renewal.policy is RenewalPolicy.OFF:
            raise EnrolmentError(EnrolmentReason.CLOSED, "renewal is turned off; ask the operator")
        issued = self._issued_before(applicant, user, csr)
        if issued:
            return issued
        check = partial(_find_renewable, user=user, csr=csr, window_days=settings.renewal.window_days)
        authority = self._load_issuer() if settings.renewal.policy is RenewalPolicy.AUTO else None
        if authority is not None:
            return self._renew_at_once(applicant, authority, user, csr, check)
        with closing(open_store(self._home)) as state:
            replaced = check(state, utc_now())
        requested = replace(_wish_of(RequestKind.RENEWAL, user.name, csr), replaces_sha256=replaced.sha256)
        return take_request(self._home, settings.enrolment, replace(applicant, source=f"user {user.name}"), requested)

    def _issued_before(self, applicant: Applicant, user: NamedUser, csr: CertificationRequest) -> str:
        """Return the chain that a user's renewal for this key was given; empty if there was none.

        The answer to a renewal may be lost. Its holder has proved both keys, and gets it again.
        """
        presented = key_sha256(parse_certificate(applicant.leaf_der).public_key())
        with closing(open_store(self._home)) as state:
            found = [
                one
                for one in state.certificates.of_key(csr.spki_sha256)
                if one.user_name == user.name and one.revocation is None and one.not_after > utc_now()
            ]
            der = state.certificates.der_of(found[0].sha256) if found and csr.spki_sha256 != presented else None
        return to_pem(*chain_above(self._home, der)).decode() if der is not None else ""

    def _renew_at_once(
        self,
        applicant: Applicant,
        authority: Authority,
        user: NamedUser,
        csr: CertificationRequest,
        check: Callable[[Store, datetime], IssuedCertificate],
    ) -> str:
        with changing(self._home, applicant.fields) as change:
            replaced = check(change.state, change.at)
            try:
                # A renewed certificate is never valid for longer than the operator granted.
                days = min(self._settings.issuing.days, days_left(replaced.not_after, replaced.not_before))
                grant = inherit_class(change, self._settings, replaced.sha256, Grant(max(days, 1)))
                certificate = certify(
                    change, authority, self._settings, user.name, csr.public_key, grant, is_renewal=True
                )
            except OperatorError as error:
                raise EnrolmentError(
                    EnrolmentReason.KEY_REFUSED, "that key is not accepted; generate another one"
                ) from error
            change.state.certificates.mark_renewed(replaced.sha256)
        return encode_chain(certificate, authority).decode()

    def _load_issuer(self) -> Authority | None:
        """Load the CA; None if its key is not on this machine or is locked: then the operator has to approve."""
        try:
            return load_issuer(self._home, self._ask)
        except OperatorError:
            return None

    def _require_open(self) -> None:
        if not self._settings.enrolment.is_open:
            raise EnrolmentError(EnrolmentReason.CLOSED, "enrolment is turned off; ask the operator")


def _wish_of(kind: RequestKind, name: str, csr: CertificationRequest) -> Requested:
    key = f"{csr.key_algorithm} {csr.key_bits}"
    return Requested(
        kind=kind, name=name, subject=csr.subject, public_key=key, spki_sha256=csr.spki_sha256, content=csr.der
    )


def _find_renewable(
    state: Store, at: datetime, *, user: NamedUser, csr: CertificationRequest, window_days: int
) -> IssuedCertificate:
    """Return the certificate that a session presented, if it may be renewed now.

    Raises:
        EnrolmentError: It is not from the built-in CA, was renewed, does not expire soon, or the key is not new.
    """
    facts = user.certificate
    mine = (one for one in state.certificates.of_user(user.name) if one.serial_number == facts.serial_number)
    found = next((one for one in mine if one.spki_sha256 == facts.spki_sha256), None)
    if found is None or found.revocation is not None:
        raise EnrolmentError(
            EnrolmentReason.NOT_RENEWABLE, "this server did not issue your certificate; renew it with its issuer"
        )
    if found.is_renewed:
        raise EnrolmentError(
            EnrolmentReason.ALREADY_RENEWED,
            "this certificate has already been renewed; use the new one",
        )
    if days_left(found.not_after, at) >= window_days:
        raise EnrolmentError(
            EnrolmentReason.TOO_EARLY,
            f"your certificate is valid for another {days_left(found.not_after, at)} days:"
            f" it can be renewed in its last {window_days} days; the operator can renew it at any time",
        )
    if csr.spki_sha256 == found.spki_sha256:
        raise EnrolmentError(EnrolmentReason.SAME_KEY, "the request has your current key; generate a new key")
    return found
