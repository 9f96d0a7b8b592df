"""The only maker of an Identity: from what was presented to a named user, a guest or a refusal.

A full handshake and a resumed TLS session come the same way. A path that held is kept (by the leaf's fingerprint)
until its earliest notAfter, so that one certificate is validated once; a refusal is never kept, since the same leaf
may come again with the intermediates that it lacked. The user is looked up anew each time: taking one away works at
once. A reload of trust anchors makes a new Identifier, and with it forgets every path.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from telnetsd.identity.cert_to_name import CertToNameEntry, IssuedCertificates, map_to_name
from telnetsd.identity.outcome import (
    CertificateStatus,
    Guest,
    GuestReason,
    Identity,
    NamedUser,
    Refusal,
)
from telnetsd.pki.certificate import CertificateFacts, PeerCertificate, describe, describe_der
from telnetsd.pki.path import Path, PathError, validate_path
from telnetsd.pki.path_reason import PathReason
from telnetsd.pki.trust import Trust

VERDICTS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Verdict:
    path: Path
    facts: CertificateFacts


class Identifier:
    """Decides who is connected, for one generation of trust anchors.

    Args:
        trust: The trust anchors.
        entries: The cert-to-name mapping, in order.
        issued: The operator's state.
        require_certificate: Turn guests into refusals.
    """

    def __init__(
        self,
        trust: Trust,
        entries: tuple[CertToNameEntry, ...],
        issued: IssuedCertificates,
        *,
        require_certificate: bool,
    ) -> None:
        self._trust = trust
        self._entries = entries
        self._issued = issued
        self._require_certificate = require_certificate
        self._verdicts: OrderedDict[str, _Verdict] = OrderedDict()

    def identify(self, peer: PeerCertificate | None, at: datetime) -> Identity:
        """Say who presented `peer` (None: no certificate came) at the aware UTC time `at`."""
        identity = self._identify(peer, at)
        if self._require_certificate and isinstance(identity, Guest):
            return Refusal(identity.reason, identity.status, identity.certificate)
        return identity

    def _identify(self, peer: PeerCertificate | None, at: datetime) -> Identity:
        if peer is None:
            return Guest(GuestReason.NO_CERTIFICATE, CertificateStatus.NONE, None)
        try:
            verdict = self._verdict(peer, at)
        except PathError as error:
            return _without_path(error.reason, describe_der(peer.leaf_der))
        match = map_to_name(verdict.path, self._entries, self._issued)
        if match is None:
            return Guest(GuestReason.UNMAPPED, CertificateStatus.VERIFIED, verdict.facts)
        return NamedUser(match.user.name, match.user.roles, match.rule_id, verdict.facts, verdict.path.valid_until)

    def _verdict(self, peer: PeerCertificate, at: datetime) -> _Verdict:
        fingerprint = peer.sha256
        known = self._verdicts.get(fingerprint)
        if known is not None and known.path.leaf.not_valid_before_utc <= at <= known.path.valid_until:
            self._verdicts.move_to_end(fingerprint)
            return known
        self._verdicts.pop(fingerprint, None)
        path = validate_path(peer, self._trust, at)
        verdict = self._verdicts[fingerprint] = _Verdict(path, describe(path.leaf))
        if len(self._verdicts) > VERDICTS_MAX:
            self._verdicts.popitem(last=False)
        return verdict


def _without_path(reason: PathReason, facts: CertificateFacts) -> Identity:
    if reason is PathReason.SELF_SIGNED:
        return Guest(GuestReason.SELF_SIGNED, CertificateStatus.PROVISIONAL, facts)
    return Refusal(reason, CertificateStatus.REJECTED, facts)
