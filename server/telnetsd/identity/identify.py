"""The only module that makes an Identity from what was presented: a named user, a guest or a refusal.

A full handshake, a resumed TLS session and the recheck of an open session all go through the same code. The verdict
on a presentation (the leaf with everything that was sent with it) is kept, whatever it was, until the passage of time
can change it. So the same bytes are validated once in each generation. Revocation and the user are looked up again
when the operator's state has another version, or when a CRL becomes current or expires. So revoking a certificate or
removing a user works at once. A reload makes a new Identifier, and so discards every verdict.

Validation can take milliseconds, and the peer decides how many. `is_costly` reports this, and `judge` may be called
in a thread.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.config.values import CrlPolicy
from telnetsd.events.reason import CertificateStatus, EndpointReason, GuestReason, PathReason, StatusReason
from telnetsd.identity.assurance import AssuranceClasses
from telnetsd.identity.cert_to_name import PIN_RULE_ID, CertToNameEntry, map_to_name
from telnetsd.identity.outcome import Admitted, Guest, Identity, NamedUser, Refusal
from telnetsd.identity.register import Register
from telnetsd.pki.certificate import (
    MalformedCertificateError,
    PeerCertificate,
    certificate_sha256,
    describe,
    describe_der,
    parse_certificate,
)
from telnetsd.pki.crl import SHORTEST, CrlStatus
from telnetsd.pki.facts import CertificateFacts, PathProblem
from telnetsd.pki.path import CertificationPath, PathError, Signer, validate_path
from telnetsd.pki.path_reason import pin_problem
from telnetsd.pki.revocation import Revocation
from telnetsd.pki.trust import Trust

VERDICTS_MAX: Final = 10_000
OTHERS_MAX: Final = 512
"""The maximum number of kept verdicts without a path: a client that invents presentations displaces no user."""
PER_LEAF_MAX: Final = 4
"""The maximum number of kept verdicts for one leaf: its holder chooses what is sent with it."""
CHEAP_MAX_BYTES: Final = 3072
"""The largest presentation that is judged within a turn of an event loop; it takes about a millisecond."""
_EVER: Final = datetime.min.replace(tzinfo=UTC)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's decisions about which clients may connect.

    Attributes:
        entries: The cert-to-name mapping, in order.
        classes: The assurance classes.
        built_in: The fingerprints of the built-in CA's anchors: state.db knows what is revoked below them.
        crl_policy: What to do with a certificate of another CA that has no current CRL.
        require_certificate: Whether to turn guests into refusals.
    """

    entries: tuple[CertToNameEntry, ...]
    classes: AssuranceClasses
    built_in: frozenset[str]
    crl_policy: CrlPolicy = CrlPolicy.REQUIRE
    require_certificate: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The identity that a certificate leads to, for one version of the register, from `begin` until before `end`."""

    identity: Identity
    version: int
    begin: datetime
    end: datetime


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The verdict on a presentation, from `begin` until before `end`: a path, or why there is none."""

    path: CertificationPath | None
    problem: PathProblem | None
    facts: CertificateFacts
    begin: datetime
    end: datetime
    assurance_class: int = 0
    outcome: _Outcome | None = None
    leaf_sha256: bytes = b""


def restrict(
    identity: Identity, *, needs_certificate: bool, has_role: Callable[[Admitted], bool] = lambda _: True
) -> Identity:
    """Return an identity after a check for a required certificate and role: a refusal if the client lacks either.

    A client that was refused only because the status of its certificate is unknown must not lack them either. If it
    does, the refusal loses its `otherwise`.
    """
    if isinstance(identity, Refusal):
        if identity.otherwise is None:
            return identity
        otherwise = restrict(identity.otherwise, needs_certificate=needs_certificate, has_role=has_role)
        return replace(identity, otherwise=None) if isinstance(otherwise, Refusal) else identity
    if needs_certificate and isinstance(identity, Guest):
        return Refusal(reason=identity.reason, status=identity.status, certificate=identity.certificate)
    return (
        identity
        if has_role(identity)
        else Refusal(reason=EndpointReason.ROLE, status=identity.status, certificate=identity.certificate)
    )


class Identifier:
    """Decides the identity of each client, for one generation of trust anchors.

    Args:
        trust: Trust anchors, intermediates and CRLs.
        policy: The operator's decisions.
        register: The operator's state.
    """

    def __init__(self, trust: Trust, policy: Policy, register: Register) -> None:
        self._trust = trust
        self._policy = policy
        self._register = register
        self._paths: OrderedDict[bytes, Verdict] = OrderedDict()
        self._others: OrderedDict[bytes, Verdict] = OrderedDict()
        self._of_leaf: dict[bytes, list[bytes]] = {}
        """The digests of the verdicts in `_paths`, by leaf; oldest first."""
        self._known_der = frozenset(one.public_bytes(Encoding.DER) for one in trust.authorities)

    def identify(self, peer: PeerCertificate | None, at: datetime) -> Identity:
        """Return the identity of a client that presented `peer` (None: no certificate) at aware UTC time `at`."""
        return restrict(self._identify(peer, at), needs_certificate=self._policy.require_certificate)

    def is_costly(self, peer: PeerCertificate | None, at: datetime) -> bool:
        """Tell whether identifying `peer` may keep an event loop busy: it should then be judged in a thread.

        Each CA that is not known here may cost a signature check with each key of that CA's name.
        """
        if peer is None or (peer.size <= CHEAP_MAX_BYTES and self._known_der.issuperset(peer.presented_der)):
            return False
        return self._find(peer.digest, at) is None

    def judge(self, peer: PeerCertificate, at: datetime) -> Verdict:
        """Validate what was presented; any thread may call this, because it does not change the identifier."""
        begin, end = _steady_time(peer, self._trust, at)
        try:
            path = validate_path(peer, self._trust, at)
        except PathError as error:
            return Verdict(path=None, problem=error.problem, facts=describe_der(peer.leaf_der), begin=begin, end=end)
        for certificate, signers in zip(path.certificates, path.signers, strict=False):
            # If the client sent the CA, the signature of a long CRL is slow to check the first time: do that here.
            status_of(certificate, signers, self._trust, at)
        return Verdict(
            path=path,
            problem=None,
            facts=describe(path.leaf),
            begin=begin,
            end=end,
            assurance_class=self._policy.classes.class_of(path),
        )

    def keep(self, peer: PeerCertificate, verdict: Verdict) -> None:
        """Keep a verdict for the next client that presents the same."""
        digest = peer.digest
        if verdict.path is None:
            self._others[digest] = verdict
            if len(self._others) > OTHERS_MAX:
                self._others.popitem(last=False)
            return
        self._forget(digest)
        verdict.leaf_sha256 = sha256(peer.leaf_der).digest()
        self._paths[digest] = verdict
        of_leaf = self._of_leaf.setdefault(verdict.leaf_sha256, [])
        of_leaf.append(digest)
        if len(of_leaf) > PER_LEAF_MAX:
            self._forget(of_leaf[0])
        elif len(self._paths) > VERDICTS_MAX:
            self._forget(next(iter(self._paths)))

    def _forget(self, digest: bytes) -> None:
        """Forget a verdict with a path, if it is kept."""
        verdict = self._paths.pop(digest, None)
        if verdict is None:
            return
        of_leaf = self._of_leaf[verdict.leaf_sha256]
        of_leaf.remove(digest)
        if not of_leaf:
            del self._of_leaf[verdict.leaf_sha256]

    def _identify(self, peer: PeerCertificate | None, at: datetime) -> Identity:
        if peer is None:
            return Guest(GuestReason.NO_CERTIFICATE, CertificateStatus.NONE, None)
        verdict = self._find(peer.digest, at)
        if verdict is None:
            verdict = self.judge(peer, at)
            self.keep(peer, verdict)
        return self._outcome(peer, verdict, at)

    def _find(self, digest: bytes, at: datetime) -> Verdict | None:
        """Return the kept verdict if it still holds; forget it if it does not."""
        kept = self._paths if digest in self._paths else self._others
        verdict = kept.get(digest)
        if verdict is None:
            return None
        if verdict.begin <= at < verdict.end:
            kept.move_to_end(digest)
            return verdict
        self._forget(digest)
        self._others.pop(digest, None)
        return None

    def _outcome(self, peer: PeerCertificate, verdict: Verdict, at: datetime) -> Identity:
        # Read the version first: a change in the meantime gives the register another one.
        version, known = self._register.version(), verdict.outcome
        if known is not None and known.version == version and known.begin <= at < known.end:
            return known.identity
        identity = self._decide(peer, verdict, at)
        end = self._trust.crls.next_change(at) or _NEVER
        verdict.outcome = _Outcome(identity, version, at, end)
        return identity

    def _decide(self, peer: PeerCertificate, verdict: Verdict, at: datetime) -> Identity:
        if verdict.path is not None:
            return self._revoked(verdict, verdict.path, at) or self._name(verdict, verdict.path)
        problem = verdict.problem or PathProblem(PathReason.BAD_PATH)
        if problem.reason is PathReason.SELF_SIGNED:
            return self._identify_pinned(peer, verdict.facts, at)
        return Refusal(
            reason=problem.reason, status=CertificateStatus.REJECTED, certificate=verdict.facts, problem=problem
        )

    def _name(self, verdict: Verdict, path: CertificationPath) -> Admitted:
        match = map_to_name(path, self._policy.entries, self._register)
        if match is None:
            return Guest(GuestReason.UNMAPPED, CertificateStatus.VERIFIED, verdict.facts)
        return NamedUser(
            name=match.user.name,
            roles=match.user.roles,
            rule_id=match.rule_id,
            certificate=verdict.facts,
            valid_until=path.valid_until,
            assurance_class=verdict.assurance_class,
            class_name=self._policy.classes.name_of(verdict.assurance_class),
        )

    def _identify_pinned(self, peer: PeerCertificate, facts: CertificateFacts, at: datetime) -> Identity:
        """Look for the leaf's public key among the pins, and for nothing else in the leaf."""
        revocation = self._register.revocation_of_pin(facts.spki_sha256)
        if revocation is not None:
            return _refuse_revoked(revocation, facts)
        user = self._register.pinned_user(facts.spki_sha256)
        if user is None:
            return Guest(GuestReason.SELF_SIGNED, CertificateStatus.PROVISIONAL, facts)
        problem = pin_problem(parse_certificate(peer.leaf_der), at)
        if problem is not None:
            return Refusal(reason=problem, status=CertificateStatus.REJECTED, certificate=facts)
        return NamedUser(
            name=user.name, roles=user.roles, rule_id=PIN_RULE_ID, certificate=facts, valid_until=facts.not_after
        )

    def _revoked(self, verdict: Verdict, path: CertificationPath, at: datetime) -> Refusal | None:
        """Check every certificate of the path except the trust anchor (RFC 5280 section 6.1.3 (a) (3))."""
        is_built_in = path.fingerprints_sha256[-1] in self._policy.built_in
        is_known = True
        for certificate, signers in zip(path.certificates, path.signers, strict=False):
            issuer_sha256 = signers[0].sha256
            status = status_of(certificate, signers, self._trust, at)
            ours = self._register.revocation_of(issuer_sha256, f"{certificate.serial_number:X}")
            revocation = ours or status.revocation
            if revocation is not None and not self._is_hold_over(ours, revocation, issuer_sha256, certificate):
                return _refuse_revoked(revocation, verdict.facts)
            is_known = is_known and status.is_known
        if is_known or is_built_in or self._policy.crl_policy is CrlPolicy.PREFER:
            return None
        otherwise = self._name(verdict, path)
        return Refusal(
            reason=StatusReason.UNKNOWN,
            status=CertificateStatus.REJECTED,
            certificate=verdict.facts,
            otherwise=otherwise,
        )

    def _is_hold_over(
        self, ours: Revocation | None, found: Revocation, issuer_sha256: str, certificate: x509.Certificate
    ) -> bool:
        """Tell whether a hold is only on a previous CRL: about certificates that we issued, the state knows more."""
        if ours is not None or not found.is_hold:
            return False
        return self._register.is_issued(issuer_sha256, f"{certificate.serial_number:X}")


def status_of(certificate: x509.Certificate, signers: tuple[Signer, ...], trust: Trust, at: datetime) -> CrlStatus:
    """Return what CRLs say about a certificate of a path; a CRL that a revoked CA signed does not count."""
    issuer, *others = signers
    counting = [issuer]
    for other in others:
        if other.issuer is not None:
            voucher = Signer(other.issuer, certificate_sha256(other.issuer))
            if trust.crls.status_of(other.certificate, [voucher], at).revocation is None:
                counting.append(other)
    return trust.crls.status_of(certificate, counting, at)


def _steady_time(peer: PeerCertificate, trust: Trust, at: datetime) -> tuple[datetime, datetime]:
    """Return the period in which time changes nothing: no certificate that may matter begins or ends within it."""
    begin, end = _EVER, _NEVER
    for certificate in (*_readable(peer), *trust.authorities):
        for moment in (certificate.not_valid_before_utc, certificate.not_valid_after_utc + SHORTEST):
            if moment <= at:
                begin = max(begin, moment)
            else:
                end = min(end, moment)
    return begin, end


def _readable(peer: PeerCertificate) -> Iterator[x509.Certificate]:
    for der in (peer.leaf_der, *peer.presented_der):
        with contextlib.suppress(MalformedCertificateError):
            yield parse_certificate(der)


def _refuse_revoked(revocation: Revocation, facts: CertificateFacts) -> Refusal:
    reason = StatusReason.ON_HOLD if revocation.is_hold else StatusReason.REVOKED
    return Refusal(reason=reason, status=CertificateStatus.REJECTED, certificate=facts, revocation=revocation)
