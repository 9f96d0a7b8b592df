"""Other CAs: adding and removing trust in them."""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from telnetsd.administration.authority.authorities import short_fingerprint
from telnetsd.administration.installation.change import changing
from telnetsd.administration.installation.generation import load_home_authorities
from telnetsd.administration.installation.operator import by_operator
from telnetsd.audit import who
from telnetsd.config.values import fingerprint_hex
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.events.of_changes import TrustAnchorAdded, TrustAnchorRemoved
from telnetsd.files.home import Home
from telnetsd.pki.authority import to_pem, utc_now
from telnetsd.pki.certificate import certificate_sha256, describe
from telnetsd.pki.trust import anchor_problem, authority_limits, load_certificates


@dataclass(frozen=True, slots=True)
class KnownAuthority:
    """A known CA, and its kind: a trust anchor vouches, an intermediate only helps to find a path."""

    certificate: x509.Certificate
    source: str
    is_anchor: bool

    @property
    def sha256(self) -> str:
        """Its fingerprint, in lower-case hexadecimal."""
        return certificate_sha256(self.certificate)


def add_trust(home: Home, file: Path, *, is_intermediate: bool) -> list[x509.Certificate]:
    """Trust the CA certificates in a PEM file, or add them as intermediates; a running server applies this at once.

    Raises:
        OperatorError: A certificate cannot be a CA, has expired, or is known already.
    """
    added = [one.certificate for one in load_certificates(file, str(file))]
    known = {certificate_sha256(one.certificate) for one in list_trust(home)}
    for certificate in added:
        _check(certificate, file, known)
    folder = home.intermediates_folder if is_intermediate else home.trust_folder
    what = "an intermediate" if is_intermediate else "a trust anchor"
    with changing(home, by_operator()) as change:
        for certificate in added:
            change.write_public(folder / f"{short_fingerprint(certificate)}.pem", to_pem(certificate))
            message = f"{_subject(certificate)} is {what} from now on"
            change.record(TrustAnchorAdded(message=message, certificate=who.certificate(describe(certificate))))
    return added


def remove_trust(home: Home, fingerprint: str) -> x509.Certificate:
    """Stop trusting a CA, or remove an intermediate; open sessions that depend on it end.

    Raises:
        OperatorError: There is no such CA, or it is the built-in one.
    """
    wanted = fingerprint_hex(fingerprint)
    own = home.shown(home.ca_certificate)
    found = [one for one in list_trust(home) if wanted and certificate_sha256(one.certificate).startswith(wanted)]
    if len(found) != 1:
        raise OperatorError(
            f"{len(found) or 'no'} CAs have the fingerprint {fingerprint!a}; see: telnetsd trust list"
        )
    if found[0].source == own:
        raise OperatorError("that is the built-in CA; to replace it: telnetsd ca rotate, then telnetsd ca retire")
    certificate, path = found[0].certificate, home.root / found[0].source
    left = [one.certificate for one in load_certificates(path, found[0].source) if one.certificate != certificate]
    with changing(home, by_operator()) as change:
        if left:
            change.write_public(path, to_pem(*left))
        else:
            change.delete(path)
        message = f"{_subject(certificate)} is no longer trusted"
        change.record(TrustAnchorRemoved(message=message, certificate=who.certificate(describe(certificate))))
    return certificate


def list_trust(home: Home) -> list[KnownAuthority]:
    """Return the trust anchors, followed by the intermediates of other CAs.

    Raises:
        OperatorError: A file cannot be read or used.
    """
    anchors = [KnownAuthority(one.certificate, one.source, True) for one in load_home_authorities(home).anchors]
    files = sorted(home.intermediates_folder.glob("*.pem"))
    helpers = [one for path in files for one in load_certificates(path, home.shown(path))]
    return [*anchors, *(KnownAuthority(one.certificate, one.source, False) for one in helpers)]


def _check(certificate: x509.Certificate, file: Path, known: set[str]) -> None:
    problem = anchor_problem(certificate) or authority_limits(certificate)
    if problem:
        raise OperatorError(f"{file} is not usable: {problem}; get the certificate of the CA")
    if certificate.not_valid_after_utc < utc_now():
        raise OperatorError(f"{file} expired on {certificate.not_valid_after_utc:%Y-%m-%d}; ask the CA for a new one")
    if certificate_sha256(certificate) in known:
        raise OperatorError(f"{file} is already known: {short_fingerprint(certificate)}; see: telnetsd trust list")


def _subject(certificate: x509.Certificate) -> str:
    return escape(certificate.subject.rfc4514_string(), TEXT_MAX_CHARS)
