"""The built-in CA on this machine: loading it together with its keys, its CRLs, its rotation."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.administration.installation.change import changing
from telnetsd.administration.installation.staging import Change
from telnetsd.config.loading import load_settings
from telnetsd.errors import OperatorError
from telnetsd.events.of_changes import CrlIssued
from telnetsd.events.part import Fields
from telnetsd.files.home import Home, require_secret
from telnetsd.pki.authority import Authority, to_pem
from telnetsd.pki.certificate import certificate_sha256, is_issued_by
from telnetsd.pki.keys import KeyLockedError, MlDsaPrivateKey, PrivateKey, key_from_pem
from telnetsd.pki.trust import load_certificates

PASSPHRASE_VARIABLE: Final = "TELNETSD_CA_PASSPHRASE"  # noqa: S105 -- a name
OWN_CRL_PREFIX: Final = "telnetsd-"
"""The beginning of the names of this installation's own CRLs."""
FINGERPRINT_CHARS: Final = 16
"""How many characters of a fingerprint identify a CA in file names and on the command line."""

WAITING: Final = "the fleet's engine takes no changes now; the server signs it when it does"
"""Why no CRL is signed at once for what is not in the stream of the fleet yet."""

AskPassphrase = Callable[[], bytes]
"""Returns the passphrase of the CA's key, from any source; called only when the key is encrypted."""


@dataclass(frozen=True, slots=True)
class _Files:
    certificate: Path
    key: Path


def passphrase_of_environment() -> bytes:
    """Return the passphrase of the CA's key from the environment.

    Raises:
        OperatorError: The environment does not have it.
    """
    value = os.environ.get(PASSPHRASE_VARIABLE)
    if not value:
        raise OperatorError(f"the CA's key is encrypted; give --passphrase-file FILE, or set ${PASSPHRASE_VARIABLE}")
    return value.encode()


def load_issuer(home: Home, ask: AskPassphrase = passphrase_of_environment) -> Authority:
    """Load the issuing CA (the intermediate if there is one, else the root), with any P-256 CA beside it.

    Raises:
        OperatorError: A file is missing or cannot be read, the key is open to others, or the passphrase is wrong.
    """
    if home.issuing_certificate.exists():
        files = _Files(home.issuing_certificate, home.issuing_key)
        issuer = _load(home, files, ask, above=load_roots(home)[:1])
    else:
        issuer = load_root(home, ask)
    if not isinstance(issuer.key, MlDsaPrivateKey) or not home.server_ca_certificate.exists():
        return issuer
    return replace(issuer, beside=load_server_issuer(home, ask))


def load_root(home: Home, ask: AskPassphrase = passphrase_of_environment) -> Authority:
    """Load the root CA.

    Raises:
        OperatorError: As in load_issuer. With an intermediate, the root's key may be kept elsewhere.
    """
    return _load(home, _Files(home.ca_certificate, home.ca_key), ask, above=())


def load_server_issuer(home: Home, ask: AskPassphrase = passphrase_of_environment) -> Authority:
    """Load the CA that issues the server's own certificate: a CA for that purpose only, else the issuing CA.

    Raises:
        OperatorError: As in load_issuer.
    """
    if home.server_ca_certificate.exists():
        return _load(home, _Files(home.server_ca_certificate, home.server_ca_key), ask, above=())
    return load_issuer(home, ask)


def load_server_ca(home: Home) -> list[x509.Certificate]:
    """Return the certificate of the CA that issues only the server's own certificate; empty if there is none.

    Raises:
        OperatorError: It cannot be read.
    """
    return _certificates_of(home, home.server_ca_certificate)


def load_previous(home: Home, ask: AskPassphrase) -> Iterator[Authority]:
    """Yield the previous CAs, from before a rotation, that can still sign CRLs.

    Raises:
        OperatorError: As in load_issuer.
    """
    for key in sorted(home.previous_folder.glob("*.key")):
        yield _load(home, _Files(key.with_suffix(".pem"), key), ask, above=())


def load_certificate_of_issuer(home: Home) -> x509.Certificate:
    """Return the certificate of the issuing CA.

    Raises:
        OperatorError: It is missing or cannot be read.
    """
    path = home.issuing_certificate if home.issuing_certificate.exists() else home.ca_certificate
    return load_certificates(path, home.shown(path))[0].certificate


def built_in_authorities(home: Home) -> list[tuple[x509.Certificate, str]]:
    """Return the certificates of the built-in CA with their roles, the issuing CA first."""
    of_server = _certificates_of(home, home.server_ca_certificate)
    roots = [one for one in load_roots(home) if one not in of_server]
    beside = [(one, "P-256 root: the server, users without ML-DSA keys") for one in of_server]
    if not home.issuing_certificate.exists():
        return [(roots[0], "root, issues"), *((one, "previous root") for one in roots[1:]), *beside]
    issuing = load_certificates(home.issuing_certificate, home.shown(home.issuing_certificate))[0].certificate
    previous = [
        (load_certificates(path, home.shown(path))[0].certificate, "previous intermediate")
        for path in sorted(home.previous_folder.glob("*.pem"))
    ]
    return [(issuing, "intermediate, issues"), *((one, "root") for one in roots), *previous, *beside]


def _certificates_of(home: Home, path: Path) -> list[x509.Certificate]:
    return [one.certificate for one in load_certificates(path, home.shown(path))] if path.exists() else []


def require_current(home: Home, authority: Authority) -> None:
    """Refuse to continue with a CA that was replaced after it was loaded; call this inside a change.

    Raises:
        OperatorError: The CA was replaced.
    """
    if load_certificate_of_issuer(home) != authority.certificate:
        raise OperatorError("the CA was changed by another process in the meantime; try again")


def issuing_key_file(home: Home) -> Path:
    """Return the path of the issuing CA's key."""
    return home.issuing_key if home.issuing_certificate.exists() else home.ca_key


def short_fingerprint(certificate: x509.Certificate) -> str:
    """Return the start of a certificate's fingerprint, by which people identify a CA."""
    return certificate_sha256(certificate)[:FINGERPRINT_CHARS]


def crl_file(home: Home, issuer: x509.Certificate) -> Path:
    """Return the path of the CRL of a built-in CA."""
    return home.crl_folder / f"{OWN_CRL_PREFIX}{short_fingerprint(issuer)}.pem"


def _rewrite_crl(change: Change, authority: Authority, days: int) -> x509.CertificateRevocationList:
    """Sign a new CRL of a CA from the current contents of state.db, and write it as part of the change."""
    issuer = certificate_sha256(authority.certificate)
    revoked = change.state.certificates.revoked_by(issuer, change.at)
    entries = [(int(one.serial_number, 16), one.revocation) for one in revoked if one.revocation is not None]
    number = change.state.certificates.next_crl_number(issuer)
    crl = authority.sign_crl(entries, number, change.at, days)
    change.write_public(crl_file(change.home, authority.certificate), crl.public_bytes(Encoding.PEM))
    until = f"{change.at + timedelta(days=days):%Y-%m-%d}"
    change.record(CrlIssued(message=f"CRL number {number} was signed: {len(entries)} revoked, valid until {until}"))
    return crl


def rewrite_crls(home: Home, who: Fields, ask: AskPassphrase) -> x509.CertificateRevocationList:
    """Sign new CRLs of the issuing CA and of the previous CAs; return that of the issuing CA.

    Raises:
        OperatorError: A key is not on this machine or cannot be used.
    """
    # Load the keys before taking the lock: no other process waits while a person looks for a passphrase.
    issuer, previous = load_issuer(home, ask), list(load_previous(home, ask))
    previous += [issuer.beside] if issuer.beside is not None else []
    days = load_settings(home.config_file).issuing.crl_days
    with changing(home, who) as change:
        for authority in previous:
            _rewrite_crl(change, authority, days)
        return _rewrite_crl(change, issuer, days)


def tell_others(home: Home, who: Fields, ask: AskPassphrase) -> str:
    """Sign new CRLs after a revocation; return why that failed, or an empty string.

    A revocation must take effect here even if the CA's key is elsewhere. In a fleet, the node that has it signs.
    """
    if home.fleet_node_certificate.exists() and not issuing_key_file(home).exists():
        return ""
    try:
        rewrite_crls(home, who, ask)
    except OperatorError as error:
        return str(error)
    return ""


def load_roots(home: Home) -> tuple[x509.Certificate, ...]:
    """Return the root certificates: the current one, followed by those from before a rotation.

    Raises:
        OperatorError: They cannot be read.
    """
    return tuple(one.certificate for one in load_certificates(home.ca_certificate, home.shown(home.ca_certificate)))


def _load(home: Home, files: _Files, ask: AskPassphrase, above: tuple[x509.Certificate, ...]) -> Authority:
    require_secret(home, files.key)
    certificate = load_certificates(files.certificate, home.shown(files.certificate))[0].certificate
    key = load_key(home, files.key, ask)
    if key.public_key() != certificate.public_key():
        shown = home.shown(files.certificate)
        raise OperatorError(f"{home.shown(files.key)} is not the key of {shown}; put back the matching pair")
    return Authority(certificate, key, (certificate, *above))


def load_key(home: Home, path: Path, ask: AskPassphrase) -> PrivateKey:
    """Load a key of the CA.

    Raises:
        OperatorError: It cannot be read, or the passphrase is wrong.
    """
    shown = home.shown(path)
    try:
        pem = path.read_bytes()
        try:
            return key_from_pem(pem)
        except KeyLockedError:
            return key_from_pem(pem, ask())
    except KeyLockedError as error:
        raise OperatorError(f"cannot open {shown}: {error}; try again with the correct one") from error
    except (OSError, ValueError) as error:
        raise OperatorError(f"cannot read {shown}: {error}; put back the PEM key") from error


def encode_chain(leaf: x509.Certificate, authority: Authority) -> bytes:
    """Return what a peer presents, in PEM: the leaf and the certificates above it, without the root.

    A peer that trusts the root already has it (RFC 8446 section 4.4.2). With the root in the chain, the server would
    parse it at each login, and keep it with each session.
    """
    return to_pem(leaf, *authority.chain_of(leaf)[:-1])


def chain_above(home: Home, leaf_der: bytes) -> list[x509.Certificate]:
    """Return a certificate of the built-in CA and those above it, the root last, as far as they are available."""
    chain = [x509.load_der_x509_certificate(leaf_der)]
    known = [certificate for certificate, _ in built_in_authorities(home)]
    while chain[-1].issuer != chain[-1].subject:
        issuer = next((one for one in known if is_issued_by(chain[-1], one)), None)
        if issuer is None:
            break
        chain.append(issuer)
    return chain
