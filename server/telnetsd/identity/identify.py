"""The only maker of an Identity: from what was presented to a named user, a guest or a refusal.

A full handshake and a resumed TLS session come the same way, and so does an open session that is looked at again. A
path that held is kept (by the leaf's fingerprint) until its earliest notAfter, so that one certificate is validated
once; a refusal is never kept, since the same leaf may come again with the intermediates that it lacked. Revocation
and the user are looked up anew once the operator's state has another version, or a CRL has come into or out of its
time: taking either away works at once. A reload makes a new Identifier, and with it forgets every path.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from telnetsd.config.settings import CrlPolicy
from telnetsd.identity.assurance import AssuranceClasses
from telnetsd.identity.cert_to_name import PIN_RULE_ID, CertToNameEntry, map_to_name
from telnetsd.identity.outcome import (
    Admitted,
    CertificateStatus,
    EndpointReason,
    Guest,
    GuestReason,
    Identity,
    NamedUser,
    Refusal,
    StatusReason,
)
from telnetsd.identity.register import Register
from telnetsd.pki.certificate import CertificateFacts, PeerCertificate, describe, describe_der, parse_certificate
from telnetsd.pki.path import Path, PathError, validate_path
from telnetsd.pki.path_reason import PathReason, pin_problem
from telnetsd.pki.revocation import Revocation
from telnetsd.pki.trust import Trust

VERDICTS_MAX: Final = 10_000
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided about who may come in.

    Attributes:
        entries: The cert-to-name mapping, in order.
        classes: The assurance classes.
        built_in: The fingerprints of the built-in CA's anchors: what is revoked below them, state.db knows.
        crl_policy: What becomes of a certificate of another CA without a current CRL.
        require_certificate: Turn guests into refusals.
    """

    entries: tuple[CertToNameEntry, ...]
    classes: AssuranceClasses
    built_in: frozenset[str]
    crl_policy: CrlPolicy = CrlPolicy.REQUIRE
    require_certificate: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Who a certificate leads to, while the register has that version, and from one moment to before another."""

    identity: Identity
    version: int
    begin: datetime
    end: datetime


@dataclass(slots=True)
class _Verdict:
    path: Path
    facts: CertificateFacts
    assurance_class: int
    valid_from: datetime
    valid_until: datetime
    outcome: _Outcome | None = None


def restrict(
    identity: Identity, *, needs_certificate: bool, has_role: Callable[[Admitted], bool] = lambda _: True
) -> Identity:
    """Return who somebody is where a certificate may be demanded, and a role: a refusal where they lack it.

    Whoever is refused already, but for what is not known of their certificate, must not lack it either.
    """
    if isinstance(identity, Refusal):
        if identity.otherwise is None:
            return identity
        otherwise = restrict(identity.otherwise, needs_certificate=needs_certificate, has_role=has_role)
        return replace(identity, otherwise=None) if isinstance(otherwise, Refusal) else identity
    if needs_certificate and isinstance(identity, Guest):
        return Refusal(identity.reason, identity.status, identity.certificate)
    return identity if has_role(identity) else Refusal(EndpointReason.ROLE, identity.status, identity.certificate)


class Identifier:
    """Decides who is connected, for one generation of trust anchors.

    Args:
        trust: Trust anchors, intermediates and CRLs.
        policy: What the operator decided.
        register: The operator's state.
    """

    def __init__(self, trust: Trust, policy: Policy, register: Register) -> None:
        self._trust = trust
        self._policy = policy
        self._register = register
        self._verdicts: OrderedDict[str, _Verdict] = OrderedDict()

    def identify(self, peer: PeerCertificate | None, at: datetime) -> Identity:
        """Say who presented `peer` (None: no certificate came) at the aware UTC time `at`."""
        return restrict(self._identify(peer, at), needs_certificate=self._policy.require_certificate)

    def _identify(self, peer: PeerCertificate | None, at: datetime) -> Identity:
        if peer is None:
            return Guest(GuestReason.NO_CERTIFICATE, CertificateStatus.NONE, None)
        try:
            verdict = self._verdict(peer, at)
        except PathError as error:
            if error.reason is PathReason.SELF_SIGNED:
                return self._identify_pinned(peer, at)
            return Refusal(error.reason, CertificateStatus.REJECTED, describe_der(peer.leaf_der))
        return self._outcome(verdict, at)

    def _outcome(self, verdict: _Verdict, at: datetime) -> Identity:
        # The version first: what changes meanwhile makes it another one.
        version, known = self._register.version(), verdict.outcome
        if known is not None and known.version == version and known.begin <= at < known.end:
            return known.identity
        identity = self._revoked(verdict, at) or self._name(verdict)
        end = self._trust.crls.next_change(at) or _NEVER
        verdict.outcome = _Outcome(identity, version, at, end)
        return identity

    def _name(self, verdict: _Verdict) -> Admitted:
        match = map_to_name(verdict.path, self._policy.entries, self._register)
        if match is None:
            return Guest(GuestReason.UNMAPPED, CertificateStatus.VERIFIED, verdict.facts)
        return NamedUser(
            match.user.name,
            match.user.roles,
            match.rule_id,
            verdict.facts,
            verdict.valid_until,
            verdict.assurance_class,
            self._policy.classes.name_of(verdict.assurance_class),
        )

    def _identify_pinned(self, peer: PeerCertificate, at: datetime) -> Identity:
        """Look for the leaf's public key among the pins, and for nothing else of it."""
        facts = describe_der(peer.leaf_der)
        revocation = self._register.revocation_of_pin(facts.spki_sha256)
        if revocation is not None:
            return _refuse_revoked(revocation, facts)
        user = self._register.pinned_user(facts.spki_sha256)
        if user is None:
            return Guest(GuestReason.SELF_SIGNED, CertificateStatus.PROVISIONAL, facts)
        problem = pin_problem(parse_certificate(peer.leaf_der), at)
        if problem is not None:
            return Refusal(problem, CertificateStatus.REJECTED, facts)
        return NamedUser(user.name, user.roles, PIN_RULE_ID, facts, facts.not_after)

    def _revoked(self, verdict: _Verdict, at: datetime) -> Refusal | None:
        """Look at every certificate of the path but the trust anchor (RFC 5280 section 6.1.3 (a) (3))."""
        path = verdict.path
        is_built_in = path.fingerprints_sha256[-1] in self._policy.built_in
        is_known = True
        for index, certificate in enumerate(path.certificates[:-1]):
            issuer, issuer_sha256 = path.certificates[index + 1], path.fingerprints_sha256[index + 1]
            status = self._trust.crls.status_of(certificate, issuer, issuer_sha256, at)
            ours = self._register.revocation_of(issuer_sha256, f"{certificate.serial_number:X}")
            revocation = ours or status.revocation
            if revocation is not None and not self._is_hold_over(ours, revocation, issuer_sha256, certificate):
                return _refuse_revoked(revocation, verdict.facts)
            is_known = is_known and status.is_known
        if is_known or is_built_in or self._policy.crl_policy is CrlPolicy.PREFER:
            return None
        return Refusal(StatusReason.UNKNOWN, CertificateStatus.REJECTED, verdict.facts, otherwise=self._name(verdict))

    def _is_hold_over(
        self, ours: Revocation | None, found: Revocation, issuer_sha256: str, certificate: x509.Certificate
    ) -> bool:
        """Tell whether a hold is only on a CRL of before: of what we issued ourselves, the state knows more."""
        if ours is not None or not found.is_hold:
            return False
        return self._register.is_issued(issuer_sha256, f"{certificate.serial_number:X}")

    def _verdict(self, peer: PeerCertificate, at: datetime) -> _Verdict:
        fingerprint = peer.sha256
        known = self._verdicts.get(fingerprint)
        if known is not None and known.valid_from <= at <= known.valid_until:
            self._verdicts.move_to_end(fingerprint)
            return known
        self._verdicts.pop(fingerprint, None)
        path = validate_path(peer, self._trust, at)
        assurance_class, valid_from = self._policy.classes.class_of(path), path.leaf.not_valid_before_utc
        verdict = _Verdict(path, describe(path.leaf), assurance_class, valid_from, path.valid_until)
        self._verdicts[fingerprint] = verdict
        if len(self._verdicts) > VERDICTS_MAX:
            self._verdicts.popitem(last=False)
        return verdict


def _refuse_revoked(revocation: Revocation, facts: CertificateFacts) -> Refusal:
    reason = StatusReason.ON_HOLD if revocation.is_hold else StatusReason.REVOKED
    return Refusal(reason, CertificateStatus.REJECTED, facts, revocation)
