"""Why a certificate identifies a user, or no user: the steps of identification, described for the operator."""

import base64
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from telnetsd.administration.installation.generation import Generation, load_generation
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.files.home import Home
from telnetsd.identity.cert_to_name import NoMatch
from telnetsd.identity.identify import Identifier, status_of
from telnetsd.identity.outcome import Guest, Identity, NamedUser, Refusal
from telnetsd.pki.certificate import PeerCertificate, describe_der
from telnetsd.pki.facts import CertificateFacts, PathProblem
from telnetsd.pki.path import CertificationPath, PathError, validate_path
from telnetsd.state.opening import open_store
from telnetsd.state.store import Store

_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what was checked, and the result."""

    what: str
    found: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps, and the outcome."""

    steps: tuple[Step, ...]
    outcome: str
    is_user: bool


def explain(home: Home, file: Path) -> Explanation:
    """Explain which identity a client that presents this certificate would get, and why.

    Args:
        home: The installation.
        file: PEM: the leaf first, then the certificates that the client would present with it.
    Raises:
        OperatorError: The file or the installation cannot be read.
    """
    with closing(open_store(home)) as state:
        peer, now, generation = _read_presented(file), datetime.now(UTC), load_generation(home)
        facts = describe_der(peer.leaf_der)
        steps = [_describe_leaf(facts)]
        try:
            path = validate_path(peer, generation.trust, now)
        except PathError as error:
            steps.append(Step("path", f"none to a trust anchor: {error.reason.value}"))
            steps.extend(_describe_problem(error.problem))
            steps.extend(_describe_pin(facts, state))
        else:
            steps.extend(_describe_path(path, generation))
            steps.extend(_describe_revocation(path, generation, state, now))
            steps.append(_describe_class(path, generation))
            steps.extend(_describe_entries(path, generation, state))
        identity = Identifier(generation.trust, generation.policy, state).identify(peer, now)
    return Explanation(tuple(steps), _outcome(identity), isinstance(identity, NamedUser))


def _read_presented(file: Path) -> PeerCertificate:
    """Read what a client would present; the explanation says whether a certificate can be parsed.

    Raises:
        OperatorError: The file cannot be read, or has no certificate in PEM.
    """
    try:
        blocks = _PEM.findall(file.read_bytes())
        leaf, *presented = (base64.b64decode(b"".join(block.split()), validate=True) for block in blocks)
    except OSError as error:
        raise OperatorError(f"cannot read {file}: {error.strerror}; check its path and mode") from error
    except ValueError as error:
        raise OperatorError(f"not a PEM certificate: {file}; convert it to PEM") from error
    return PeerCertificate(leaf, tuple(presented))


def _describe_leaf(facts: CertificateFacts) -> Step:
    subject, issuer = (_shown(name.distinguished_name) for name in (facts.subject, facts.issuer))
    days = f"{facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d}"
    return Step("certificate", f"{subject}, issued by {issuer}, serial {facts.serial_number}, valid {days}")


def _describe_problem(problem: PathProblem) -> Iterator[Step]:
    if problem.subject:
        yield Step("at fault", _shown(problem.subject))
    if problem.cause:
        yield Step("cause", _shown(problem.cause))


def _describe_pin(facts: CertificateFacts, state: Store) -> list[Step]:
    spki = facts.spki_sha256
    pin = state.pins.find(spki)
    if pin is None:
        return [Step("pin", f"not pinned: SHA256:{spki}")]
    found = f"of {pin.user_name}, since {pin.added_at:%Y-%m-%d}"
    if pin.revocation is not None:
        found += f"; revoked {pin.revocation.revoked_at:%Y-%m-%d} ({pin.revocation.reason.value})"
    return [Step("pin", found)]


def _describe_path(path: CertificationPath, generation: Generation) -> list[Step]:
    steps = []
    for certificate, fingerprint in zip(path.certificates[1:], path.fingerprints_sha256[1:], strict=True):
        steps.append(Step("issued by", f"{_shown(certificate.subject.rfc4514_string())}, SHA256:{fingerprint}"))
    steps.append(Step("trust anchor", _source_of(path.certificates[-1], generation)))
    return steps


def _describe_revocation(path: CertificationPath, generation: Generation, state: Store, at: datetime) -> list[Step]:
    """Report what the state (built-in CA) or the CRLs (other CAs) say about each certificate below the anchor."""
    is_built_in = path.fingerprints_sha256[-1] in generation.policy.built_in
    steps = []
    for certificate, signers in zip(path.certificates, path.signers, strict=False):
        issuer = signers[0]
        status = status_of(certificate, signers, generation.trust, at)
        revocation = state.revocation_of(issuer.sha256, f"{certificate.serial_number:X}") or status.revocation
        word = "not revoked" if status.is_known or is_built_in else "unknown: no current CRL"
        if revocation is not None:
            what = "on hold" if revocation.is_hold else f"revoked ({revocation.reason.value})"
            word = f"{what} since {revocation.revoked_at:%Y-%m-%d %H:%M} UTC"
        source = "state.db" if is_built_in else f"CRL of {_shown(issuer.certificate.subject.rfc4514_string())}"
        steps.append(Step("revocation", f"{_shown(certificate.subject.rfc4514_string())}: {word}, by {source}"))
    return steps


def _describe_class(path: CertificationPath, generation: Generation) -> Step:
    assurance_class = generation.policy.classes.class_of(path)
    name = generation.policy.classes.name_of(assurance_class)
    return Step("class", f"{assurance_class}{f' ({name})' if name else ''}")


def _describe_entries(path: CertificationPath, generation: Generation, state: Store) -> list[Step]:
    steps = []
    for entry in generation.policy.entries:
        found = entry.find(path, state)
        if not isinstance(found, NoMatch):
            steps.append(Step(f"entry {entry.id}", f"names {found.name} ({', '.join(found.roles)})"))
            break
        steps.append(Step(f"entry {entry.id}", f"names no user: {found.value}"))
    return steps


def _source_of(anchor: x509.Certificate, generation: Generation) -> str:
    return next(one.source for one in generation.trust.anchors if one.certificate == anchor)


def _outcome(identity: Identity) -> str:
    match identity:
        case NamedUser():
            return f"{identity.name} ({', '.join(identity.roles)}), by {identity.rule_id}"
        case Guest():
            return f"a guest ({identity.reason.value})"
        case Refusal():
            since = f" since {identity.revocation.revoked_at:%Y-%m-%d %H:%M} UTC" if identity.revocation else ""
            return f"refused ({identity.reason.value}{since})"


def _shown(text: str) -> str:
    return escape(text, TEXT_MAX_CHARS)
