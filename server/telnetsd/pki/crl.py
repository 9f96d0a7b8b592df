"""CRLs of one generation (RFC 5280 sections 5 and 6.3): read, judged, and asked about one certificate at a time.

A CRL counts for a CA when it bears that CA's name and signature. Which CAs there are is not known when CRLs are
read, since a peer brings its intermediates; so the signature is checked when a path asks, once for each CA.

An index of serial numbers is made once, off the event loop: searching a CRL costs milliseconds at each miss.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtensionOID

from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.pki.certificate import TEXT_MAX_CHARS, certificate_sha256, without_warnings
from telnetsd.pki.path_reason import SIGNATURE_HASHES
from telnetsd.pki.revocation import Revocation, RevocationReason

CRL_MAX_BYTES: Final = 256 * 1024 * 1024
_ISSUERS_MAX: Final = 1000
_MOMENT: Final = timedelta(microseconds=1)
_REASONS: Final = tuple(RevocationReason)
_PLACES: Final = {reason.value: place for place, reason in enumerate(_REASONS)}
_PARTIAL: Final = {ExtensionOID.DELTA_CRL_INDICATOR, ExtensionOID.ISSUING_DISTRIBUTION_POINT}
_SIGNING_KEYS: Final = (rsa.RSAPublicKey, ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey)
_UNDERSTOOD: Final = frozenset({ExtensionOID.CRL_NUMBER, ExtensionOID.AUTHORITY_KEY_IDENTIFIER})


class CrlProblem(StrEnum):
    """Why a CRL does not count as the current word of a CA."""

    UNREADABLE = "crl-unreadable"
    UNSUPPORTED = "crl-unsupported"
    UNKNOWN_ISSUER = "crl-of-unknown-issuer"
    BAD_SIGNATURE = "crl-bad-signature"
    EXPIRED = "crl-expired"
    NOT_YET_VALID = "crl-not-yet-valid"


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One CRL that could be read whole, and the file that it came from.

    `positions` leads from a serial number to the place of its revocation in `dates` (seconds since 1970) and in
    `reasons` (places in the list of reasons): a million entries are no million objects.
    """

    crl: x509.CertificateRevocationList
    source: str
    sha256: str
    this_update: datetime
    next_update: datetime | None
    number: int
    is_supported: bool
    positions: dict[int, int] = field(repr=False)
    dates: "array[int]" = field(repr=False)
    reasons: bytes = field(repr=False)

    def lateness(self, at: datetime) -> CrlProblem | None:
        """Say whether it is out of its time at the aware UTC time `at`."""
        # RFC 5280 5.1.2.5: conforming CAs say when the next one comes; without it nothing is ever current.
        if self.next_update is None or at > self.next_update:
            return CrlProblem.EXPIRED
        return CrlProblem.NOT_YET_VALID if at < self.this_update else None

    def revocation_of(self, serial_number: int) -> Revocation | None:
        """Return the entry of a serial number."""
        position = self.positions.get(serial_number)
        if position is None:
            return None
        return Revocation(datetime.fromtimestamp(self.dates[position], UTC), _REASONS[self.reasons[position]])

    def is_signed_by(self, issuer: x509.Certificate) -> bool:
        """Tell whether a CA issued it: the name, the right to sign CRLs, and the signature."""
        return self.crl.issuer == issuer.subject and _may_sign_crls(issuer) and _has_signature_of(self.crl, issuer)


@dataclass(frozen=True, slots=True)
class CrlFinding:
    """A file in the folder of CRLs that is not the current word of any CA."""

    source: str
    problem: CrlProblem
    message: str


@dataclass(frozen=True, slots=True)
class CrlStatus:
    """What the CRLs say of one certificate; not `is_known` when none of its issuer is current."""

    revocation: Revocation | None
    is_known: bool


class RevocationLists:
    """Every CRL of one generation.

    Args:
        lists: Those that could be read.
        unreadable: What was found about files that could not.
    """

    def __init__(self, lists: Iterable[RevocationList] = (), unreadable: Iterable[CrlFinding] = ()) -> None:
        self.lists = tuple(lists)
        self._unreadable = tuple(unreadable)
        self._of_issuer: dict[str, tuple[RevocationList, ...]] = {}

    def status_of(
        self, certificate: x509.Certificate, issuer: x509.Certificate, issuer_sha256: str, at: datetime
    ) -> CrlStatus:
        """Say what is known of a certificate that `issuer` signed. What an old CRL revoked stays revoked."""
        newest = self._newest_of(issuer, issuer_sha256, at)
        revocations = (one.revocation_of(certificate.serial_number) for one in newest)
        revocation = next((one for one in revocations if one is not None), None)
        return CrlStatus(revocation, is_known=any(one.lateness(at) is None for one in newest))

    def covers(self, issuer: x509.Certificate, issuer_sha256: str, at: datetime) -> bool:
        """Tell whether there is a current CRL of a CA."""
        return any(one.lateness(at) is None for one in self._newest_of(issuer, issuer_sha256, at))

    def next_change(self, at: datetime) -> datetime | None:
        """Return when the clock alone changes what the CRLs say, after the aware UTC time `at`; None for never."""
        # At its nextUpdate a list is still current: what changes comes with the next moment.
        begins = (one.this_update for one in self.lists)
        ends = (one.next_update + _MOMENT for one in self.lists if one.next_update is not None)
        return min((moment for moment in chain(begins, ends) if moment > at), default=None)

    def find_problems(self, authorities: Iterable[x509.Certificate], at: datetime) -> list[CrlFinding]:
        """Say which files are not the current word of one of these CAs."""
        known = tuple((one, certificate_sha256(one)) for one in authorities)
        findings = list(self._unreadable)
        for one in self.lists:
            problem = self._problem_of(one, known, at)
            if problem is not None:
                findings.append(CrlFinding(one.source, problem, _explain(one, problem)))
        return findings

    def _problem_of(
        self, one: RevocationList, authorities: tuple[tuple[x509.Certificate, str], ...], at: datetime
    ) -> CrlProblem | None:
        if not one.is_supported:
            return CrlProblem.UNSUPPORTED
        namesakes = [(ca, sha256) for ca, sha256 in authorities if ca.subject == one.crl.issuer]
        if not namesakes:
            return CrlProblem.UNKNOWN_ISSUER
        if not any(one in self._signed_by(*namesake) for namesake in namesakes):
            return CrlProblem.BAD_SIGNATURE
        return one.lateness(at)

    def _newest_of(self, issuer: x509.Certificate, issuer_sha256: str, at: datetime) -> list[RevocationList]:
        """Return the last word of a CA: one list, or several of the same moment and number, which count together."""
        begun = [one for one in self._signed_by(issuer, issuer_sha256) if one.this_update <= at]
        last = max((_age(one) for one in begun), default=None)
        return [one for one in begun if _age(one) == last]

    def _signed_by(self, issuer: x509.Certificate, issuer_sha256: str) -> tuple[RevocationList, ...]:
        """Return the lists that a CA signed; each signature is checked once."""
        if issuer_sha256 not in self._of_issuer:
            # A peer brings its intermediates: only those of validated paths come here, yet the table is bounded.
            if len(self._of_issuer) >= _ISSUERS_MAX:
                self._of_issuer.clear()
            signed = (one for one in self.lists if one.is_supported and one.is_signed_by(issuer))
            self._of_issuer[issuer_sha256] = tuple(signed)
        return self._of_issuer[issuer_sha256]


def load_revocation_lists(files: Iterable[tuple[Path, str]], before: RevocationLists) -> RevocationLists:
    """Read CRLs, in PEM or DER.

    Args:
        files: Each file with its name as a person would write it.
        before: Those of the generation before: the index of a file that has not changed is taken from there.
    Raises:
        OperatorError: A file cannot be opened.
    """
    known = {one.sha256: one for one in before.lists}
    lists: list[RevocationList] = []
    unreadable: list[CrlFinding] = []
    for path, shown in files:
        content = _read(path, shown)
        digest = sha256(content).hexdigest()
        try:
            one = known[digest] if digest in known else _parse(content, shown, digest)
        except Exception as error:  # noqa: BLE001 -- whatever the X.509 library raises, the file is no CRL
            why = escape(" ".join(str(error).split()), TEXT_MAX_CHARS)
            message = f"{shown} is no CRL that can be read ({why}); replace it"
            unreadable.append(CrlFinding(shown, CrlProblem.UNREADABLE, message))
        else:
            lists.append(replace(one, source=shown))
    return RevocationLists(lists, unreadable)


def _read(path: Path, shown: str) -> bytes:
    try:
        if path.stat().st_size > CRL_MAX_BYTES:
            raise OperatorError(f"{shown} is too large for a CRL: at most {CRL_MAX_BYTES} bytes are read; remove it")
        return path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot read {shown}: {error.strerror}; check its mode") from error


def _parse(content: bytes, shown: str, digest: str) -> RevocationList:
    """Read a CRL, with everything in it that would be parsed lazily: what is wrong is found here, and not later."""
    with without_warnings():
        is_pem = content.lstrip().startswith(b"-----BEGIN ")
        crl = x509.load_pem_x509_crl(content) if is_pem else x509.load_der_x509_crl(content)
        _ = (crl.issuer.rfc4514_string(), crl.signature_algorithm_oid)
        extensions = {one.oid: one for one in crl.extensions}
        positions: dict[int, int] = {}
        dates, reasons = array("q"), bytearray()
        for position, entry in enumerate(crl):
            positions[entry.serial_number] = position
            dates.append(int(entry.revocation_date_utc.timestamp()))
            reasons.append(_reason_of(entry))
    number = extensions.get(ExtensionOID.CRL_NUMBER)
    crl_number = number.value.crl_number if number and isinstance(number.value, x509.CRLNumber) else 0
    # RFC 5280 5.2: a CRL with a critical extension that is not understood must not be used. Delta CRLs, indirect
    # ones, and those of a part of the certificates are not, however they are marked.
    is_partial = bool(extensions.keys() & _PARTIAL)
    is_understood = all(oid in _UNDERSTOOD for oid, one in extensions.items() if one.critical)
    is_supported = is_understood and not is_partial
    times = crl.last_update_utc, crl.next_update_utc
    return RevocationList(crl, shown, digest, *times, crl_number, is_supported, positions, dates, bytes(reasons))


def _age(one: RevocationList) -> tuple[datetime, int]:
    return one.this_update, one.number


def _reason_of(entry: x509.RevokedCertificate) -> int:
    """Return the place of an entry's reason in the list of reasons."""
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return 0
    return _PLACES.get(reason.value, 0)


def _may_sign_crls(issuer: x509.Certificate) -> bool:
    # RFC 5280 6.3.3 (f): with keyUsage present, the cRLSign bit must be set.
    try:
        return issuer.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _has_signature_of(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        algorithm = crl.signature_hash_algorithm
        if algorithm is not None and not isinstance(algorithm, SIGNATURE_HASHES):
            return False
        key = issuer.public_key()
        return isinstance(key, _SIGNING_KEYS) and crl.is_signature_valid(key)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False


def _explain(one: RevocationList, problem: CrlProblem) -> str:
    issuer = escape(one.crl.issuer.rfc4514_string(), TEXT_MAX_CHARS)
    next_update = one.next_update
    until = (
        f"on {next_update:%Y-%m-%d at %H:%M} UTC" if next_update else "at once: it does not say until when it holds"
    )
    words = {
        CrlProblem.UNSUPPORTED: "is of a kind that is not taken (a delta, indirect or partial); use a full CRL",
        CrlProblem.UNKNOWN_ISSUER: f"is of {issuer}, and no CA here has that name; remove it, or: telnetsd trust add",
        CrlProblem.BAD_SIGNATURE: f"is not signed by {issuer}; replace it",
        CrlProblem.EXPIRED: f"expired {until}; fetch a new one of {issuer}",
        CrlProblem.NOT_YET_VALID: f"is not valid before {one.this_update:%Y-%m-%d %H:%M} UTC",
    }
    return f"{one.source} {words[problem]}"
