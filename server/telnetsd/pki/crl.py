"""CRLs of one generation (RFC 5280 sections 5 and 6.3): read, checked, and queried for one certificate at a time.

A CRL counts for a CA if it has that CA's name and signature. The server does not know all CAs when it reads the CRLs,
because a peer sends its own intermediates. So it checks a signature when a path needs it, once for each CA.

A file may hold several CRLs in PEM, with text between them (RFC 7468 section 2); each of them counts.

The index of serial numbers is built once, outside the event loop: a search of a CRL costs milliseconds per miss.
"""

import base64
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.events.reason import CrlProblem, RevocationReason
from telnetsd.pki.certificate import (
    TEXT_MAX_CHARS,
    certificate_sha256,
    extension_of,
    spki_sha256,
    without_warnings,
)
from telnetsd.pki.keys import SUPPORTED_KINDS
from telnetsd.pki.path_reason import SIGNATURE_HASHES
from telnetsd.pki.revocation import Revocation

CRL_MAX_BYTES: Final = 256 * 1024 * 1024
_ISSUERS_MAX: Final = 1000
SHORTEST: Final = timedelta(microseconds=1)
"""The shortest time: a certificate or CRL still counts in its last moment, and no longer one such time after it."""
_REASONS: Final = tuple(RevocationReason)
_PLACES: Final = {reason.value: place for place, reason in enumerate(_REASONS)}
_UNDERSTOOD: Final = frozenset(
    {ExtensionOID.CRL_NUMBER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER, ExtensionOID.ISSUING_DISTRIBUTION_POINT}
)
_UNDERSTOOD_OF_ENTRIES: Final = frozenset({CRLEntryExtensionOID.CRL_REASON, CRLEntryExtensionOID.INVALIDITY_DATE})
_PEM_LABEL: Final = "X509 CRL"
_PEM_BLOCK: Final = re.compile(
    rb"-----BEGIN (?P<label>[^\r\n-]*)-----(?P<body>.*?)(?:-----END (?P<end>[^\r\n-]*)-----|\Z)", re.DOTALL
)


class CrlSigner(Protocol):
    """A CA that may sign CRLs: see `pki.path.Signer`."""

    @property
    def certificate(self) -> x509.Certificate:
        """Its certificate."""

    @property
    def sha256(self) -> str:
        """The SHA-256 of that certificate."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The certificates of its CA that a CRL covers (RFC 5280 section 5.2.5); all of them by default.

    Attributes:
        names: The distribution point where the CRL is published; empty if the CRL does not say.
        is_of_authorities: Whether the CRL covers only CA certificates (True) or only other certificates (False).
    """

    names: tuple[x509.GeneralName, ...] = ()
    is_of_authorities: bool | None = None

    def covers(self, certificate: x509.Certificate) -> bool:
        """Tell whether the CRL covers a certificate (RFC 5280 section 6.3.3 (b) (2)).

        A certificate that names no distribution point is covered even by a CRL that names its own.
        """
        constraints = extension_of(certificate, x509.BasicConstraints)
        is_authority = constraints is not None and constraints.ca
        if self.is_of_authorities not in {None, is_authority}:
            return False
        points = extension_of(certificate, x509.CRLDistributionPoints)
        if not self.names or points is None:
            return True
        # A distribution point for only some reasons does not list every revocation.
        whole = (one for one in points if one.reasons is None)
        names = (_names_of(certificate.issuer, one.full_name, one.relative_name) for one in whole)
        return any(name in self.names for name in chain.from_iterable(names))


def _names_of(
    issuer: x509.Name, full: list[x509.GeneralName] | None, relative: x509.RelativeDistinguishedName | None
) -> tuple[x509.GeneralName, ...]:
    """Return the names of a distribution point; each may be relative to the issuer's (RFC 5280 section 4.2.1.13)."""
    if relative is not None:
        return (x509.DirectoryName(x509.Name([*issuer.rdns, relative])),)
    return tuple(full or ())


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class RevocationList:
    """One CRL that was read in full, and the file that it came from.

    `positions` maps a serial number to the index of its revocation in `dates` (seconds since 1970) and in `reasons`
    (indexes into the list of reasons). So a million entries do not become a million objects.
    """

    crl: x509.CertificateRevocationList
    source: str
    sha256: str
    this_update: datetime
    next_update: datetime | None
    number: int
    is_supported: bool
    scope: Scope
    positions: dict[int, int] = field(repr=False)
    dates: "array[int]" = field(repr=False)
    reasons: bytes = field(repr=False)

    def lateness(self, at: datetime) -> CrlProblem | None:
        """Return the problem if the CRL is expired or not yet valid at the aware UTC time `at`."""
        # RFC 5280 5.1.2.5: conforming CAs say when the next CRL comes; a CRL that does not is never current.
        if self.next_update is None or at > self.next_update:
            return CrlProblem.EXPIRED
        return CrlProblem.NOT_YET_VALID if at < self.this_update else None

    def revocation_of(self, serial_number: int) -> Revocation | None:
        """Return the revocation of a serial number; None if it has no entry."""
        position = self.positions.get(serial_number)
        if position is None:
            return None
        return Revocation(datetime.fromtimestamp(self.dates[position], UTC), _REASONS[self.reasons[position]])

    def is_signed_by(self, issuer: x509.Certificate) -> bool:
        """Tell whether a CA issued the CRL: check the name, the right to sign CRLs, and the signature."""
        return self.crl.issuer == issuer.subject and _may_sign_crls(issuer) and _has_signature_of(self.crl, issuer)


@dataclass(frozen=True, slots=True)
class CrlFinding:
    """A file in the CRL folder that is not the current CRL of any CA."""

    source: str
    problem: CrlProblem
    message: str


@dataclass(frozen=True, slots=True)
class CrlStatus:
    """What the CRLs say about one certificate; `is_known` is false if no CRL of its issuer is current."""

    revocation: Revocation | None
    is_known: bool


class RevocationLists:
    """Every CRL of one generation.

    Args:
        lists: The CRLs that could be read.
        unreadable: The findings about files that could not be read.
    """

    def __init__(self, lists: Iterable[RevocationList] = (), unreadable: Iterable[CrlFinding] = ()) -> None:
        self.lists = tuple(lists)
        self._unreadable = tuple(unreadable)
        self._of_issuer: dict[tuple[bytes, str, bool], tuple[RevocationList, ...]] = {}

    def status_of(self, certificate: x509.Certificate, signers: Iterable[CrlSigner], at: datetime) -> CrlStatus:
        """Return what is known about a certificate whose CRLs these CAs sign. What an old CRL revoked stays revoked.

        Only a CRL with the same key and scope replaces a CRL. A CRL that another key of the CA signed, or that
        covers other certificates, cancels no revocation.
        """
        newest = [one for lists in self._about(certificate, signers) for one in _newest(lists, at)]
        revocations = (one.revocation_of(certificate.serial_number) for one in newest)
        revocation = next((one for one in revocations if one is not None), None)
        return CrlStatus(revocation, is_known=any(one.lateness(at) is None for one in newest))

    def _about(
        self, certificate: x509.Certificate, signers: Iterable[CrlSigner]
    ) -> Iterator[tuple[RevocationList, ...]]:
        """Yield the lists that cover a certificate, grouped by signer and scope."""
        for lists in map(self._signed_by, signers):
            covering = [one for one in lists if one.scope.covers(certificate)]
            for scope in dict.fromkeys(one.scope for one in covering):
                yield tuple(one for one in covering if one.scope == scope)

    def covers(self, issuer: CrlSigner, at: datetime) -> bool:
        """Tell whether a CA has a current CRL."""
        return any(one.lateness(at) is None for one in _newest(self._signed_by(issuer), at))

    def next_change(self, at: datetime) -> datetime | None:
        """Return when time alone next changes what the CRLs say, after the aware UTC time `at`; None for never."""
        # At its nextUpdate a list is still current: the change comes one moment later.
        begins = (one.this_update for one in self.lists)
        ends = (one.next_update + SHORTEST for one in self.lists if one.next_update is not None)
        return min((moment for moment in chain(begins, ends) if moment > at), default=None)

    def find_problems(self, authorities: Iterable[x509.Certificate], at: datetime) -> list[CrlFinding]:
        """Return the CRLs that are not the current CRL of one of these CAs.

        A CRL of any other CA counts for clients that send that CA themselves: see `find_unmatched`.
        """
        known = tuple(_Known(one, certificate_sha256(one)) for one in authorities)
        findings = list(self._unreadable)
        for one in self.lists:
            problem = self._problem_of(one, known, at)
            if problem is not None:
                findings.append(CrlFinding(one.source, problem, _explain(one, problem)))
        return findings

    def find_unmatched(self, authorities: Iterable[x509.Certificate]) -> list[CrlFinding]:
        """Return the CRLs of CAs other than these: they count for clients that send the CA themselves."""
        names = {one.subject for one in authorities}
        unmatched = (one for one in self.lists if one.is_supported and one.crl.issuer not in names)
        problem = CrlProblem.UNKNOWN_ISSUER
        return [CrlFinding(one.source, problem, _explain(one, problem)) for one in unmatched]

    def _problem_of(self, one: RevocationList, authorities: tuple[CrlSigner, ...], at: datetime) -> CrlProblem | None:
        if not one.is_supported:
            return CrlProblem.UNSUPPORTED
        namesakes = [ca for ca in authorities if ca.certificate.subject == one.crl.issuer]
        if namesakes and not any(one in self._signed_by(namesake) for namesake in namesakes):
            return CrlProblem.BAD_SIGNATURE
        return one.lateness(at)

    def _signed_by(self, issuer: CrlSigner) -> tuple[RevocationList, ...]:
        """Return the lists that a CA signed; each signature is checked once."""
        # The key holds only what matters: a peer can make other copies of its CA, and a long list is slow to verify.
        authority = issuer.certificate
        key = authority.subject.public_bytes(), spki_sha256(authority), _may_sign_crls(authority)
        found = self._of_issuer.get(key)
        if found is None:
            # A peer sends its own intermediates: only those of validated paths get here, but the table is bounded.
            if len(self._of_issuer) >= _ISSUERS_MAX:
                self._of_issuer.clear()
            found = tuple(one for one in self.lists if one.is_supported and one.is_signed_by(authority))
            self._of_issuer[key] = found
        return found


@dataclass(frozen=True, slots=True)
class _Known:
    """A CA that is known here; see CrlSigner."""

    certificate: x509.Certificate
    sha256: str


def _newest(lists: Iterable[RevocationList], at: datetime) -> list[RevocationList]:
    """Return the newest list of a CA, or several with the same time and number, which count together."""
    begun = [one for one in lists if one.this_update <= at]
    last = max(map(_age, begun), default=None)
    return [one for one in begun if _age(one) == last]


def load_revocation_lists(files: Iterable[tuple[Path, str]], before: RevocationLists) -> RevocationLists:
    """Read CRLs, in PEM or DER.

    Args:
        files: Each file with the name to show for it.
        before: The CRLs of the previous generation: the index of an unchanged file is reused from there.
    Raises:
        OperatorError: A file cannot be opened.
    """
    known = {one.sha256: one for one in before.lists}
    lists: list[RevocationList] = []
    unreadable: list[CrlFinding] = []
    for path, shown in files:
        for place, part in enumerate(_parts_of(_read(path, shown)), 1):
            try:
                lists.append(_load(part, shown, known))
            except Exception as error:  # noqa: BLE001 -- whatever the X.509 library raises, this is not a CRL
                why = escape(" ".join(str(error).split()), TEXT_MAX_CHARS)
                which = f"{shown}, part {place}," if place > 1 else shown
                message = f"{which} is not a readable CRL ({why}); replace it"
                unreadable.append(CrlFinding(shown, CrlProblem.UNREADABLE, message))
    return RevocationLists(lists, unreadable)


def _load(part: "_Part", shown: str, known: dict[str, RevocationList]) -> RevocationList:
    """Reuse a CRL of the previous generation, or read it.

    Raises: Whatever the X.509 library raises; ValueError if it is not a CRL.
    """
    der = part.decode()
    digest = sha256(der).hexdigest()
    return replace(known[digest], source=shown) if digest in known else _parse(der, shown, digest)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a file: DER, or a PEM block with its label and the label at its end."""

    content: bytes
    label: str = ""
    end: str = ""

    def decode(self) -> bytes:
        """Return the DER of a CRL.

        Raises:
            ValueError: The part is a PEM block of something else, or is broken.
        """
        if not self.label:
            return self.content
        if self.label != _PEM_LABEL:
            raise ValueError(f"it is a PEM block of {self.label!r}")
        if self.end != self.label:
            raise ValueError("its PEM block has no end")
        return base64.b64decode(b"".join(self.content.split()), validate=True)


def _parts_of(content: bytes) -> Iterator[_Part]:
    """Yield the blocks of a PEM file, or the whole content of any other file."""
    found = False
    for block in _PEM_BLOCK.finditer(content):
        found = True
        label, end = (text.decode("ascii", "replace") for text in (block["label"], block["end"] or b""))
        yield _Part(block["body"], label or "?", end)
    if not found:
        yield _Part(content)


def _read(path: Path, shown: str) -> bytes:
    try:
        if path.stat().st_size > CRL_MAX_BYTES:
            raise OperatorError(f"{shown} is too large for a CRL: at most {CRL_MAX_BYTES} bytes are read; remove it")
        return path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot read {shown}: {error.strerror}; check its mode") from error


def _parse(der: bytes, shown: str, digest: str) -> RevocationList:
    """Read a CRL, including every part that is parsed lazily: errors are found here, and not later."""
    with without_warnings():
        crl = x509.load_der_x509_crl(der)
        _ = (crl.issuer.rfc4514_string(), crl.signature_algorithm_oid)
        extensions = {one.oid: one for one in crl.extensions}
        positions: dict[int, int] = {}
        dates, reasons, is_understood = array("q"), bytearray(), True
        for position, entry in enumerate(crl):
            positions[entry.serial_number] = position
            dates.append(int(entry.revocation_date_utc.timestamp()))
            entry_extensions = entry.extensions
            reasons.append(_reason_of(entry_extensions))
            # RFC 5280 5.3: a CRL whose entry has a critical extension that cannot be processed must not be used.
            is_understood = is_understood and all(
                one.oid in _UNDERSTOOD_OF_ENTRIES for one in entry_extensions if one.critical
            )
    number = extensions.get(ExtensionOID.CRL_NUMBER)
    crl_number = number.value.crl_number if number and isinstance(number.value, x509.CRLNumber) else 0
    # RFC 5280 5.2: a CRL with a critical extension that is not understood must not be used. Delta CRLs, indirect
    # CRLs, and CRLs for only some reasons are not understood, however they are marked.
    is_understood = is_understood and all(oid in _UNDERSTOOD for oid, one in extensions.items() if one.critical)
    scope = _scope_of(crl)
    is_supported = is_understood and scope is not None and ExtensionOID.DELTA_CRL_INDICATOR not in extensions
    return RevocationList(
        crl=crl,
        source=shown,
        sha256=digest,
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc,
        number=crl_number,
        is_supported=is_supported,
        scope=scope or Scope(),
        positions=positions,
        dates=dates,
        reasons=bytes(reasons),
    )


def _scope_of(crl: x509.CertificateRevocationList) -> Scope | None:
    """Return which certificates a CRL covers; None if that scope is not supported."""
    try:
        point = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return Scope()
    if point.indirect_crl or point.only_some_reasons or point.only_contains_attribute_certs:
        return None
    is_limited = point.only_contains_ca_certs or point.only_contains_user_certs
    names = _names_of(crl.issuer, point.full_name, point.relative_name)
    return Scope(names, point.only_contains_ca_certs if is_limited else None)


def _age(one: RevocationList) -> tuple[datetime, int]:
    return one.this_update, one.number


def _reason_of(extensions: x509.Extensions) -> int:
    """Return the index of an entry's reason in the list of reasons."""
    try:
        reason = extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return 0
    return _PLACES.get(reason.value, 0)


def _may_sign_crls(issuer: x509.Certificate) -> bool:
    # RFC 5280 6.3.3 (f): with keyUsage present, the cRLSign bit must be set.
    usage = extension_of(issuer, x509.KeyUsage)
    return usage is None or usage.crl_sign


def _has_signature_of(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        algorithm = crl.signature_hash_algorithm
        if algorithm is not None and not isinstance(algorithm, SIGNATURE_HASHES):
            return False
        key = issuer.public_key()
        return isinstance(key, SUPPORTED_KINDS) and crl.is_signature_valid(key)
    except Exception:  # noqa: BLE001 -- whatever the X.509 library raises, the signature is not valid
        return False


def _explain(one: RevocationList, problem: CrlProblem) -> str:
    issuer = escape(one.crl.issuer.rfc4514_string(), TEXT_MAX_CHARS)
    next_update = one.next_update
    said = problem.sentence.format(
        issuer=issuer,
        next_update=(
            f"{next_update:%Y-%m-%d at %H:%M} UTC" if next_update else "the day it was made: it has no expiry date"
        ),
        this_update=f"{one.this_update:%Y-%m-%d at %H:%M} UTC",
    )
    return f"{one.source}: {said}; {problem.remedy}"
