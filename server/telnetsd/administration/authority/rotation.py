"""Rotating the CA, retiring the previous one, and renewing the server's own certificate."""

import ipaddress
import re
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.administration.authority.authorities import (
    AskPassphrase,
    built_in_authorities,
    crl_file,
    encode_chain,
    issuing_key_file,
    load_certificate_of_issuer,
    load_issuer,
    load_key,
    load_root,
    load_roots,
    load_server_issuer,
    passphrase_of_environment,
    require_current,
    short_fingerprint,
    tell_others,
)
from telnetsd.administration.authority.issuing import record_of
from telnetsd.administration.installation.change import changing
from telnetsd.administration.installation.generation import load_server_chain, server_name, server_names
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.installation.staging import Change
from telnetsd.audit import who
from telnetsd.config.values import fingerprint_hex
from telnetsd.errors import OperatorError
from telnetsd.events.of_changes import CaRetired, CaRotated, CertificateIssued, CertificateRevoked
from telnetsd.events.reason import RevocationReason
from telnetsd.files.atomic import make_secret_folder
from telnetsd.files.home import Home
from telnetsd.pki.authority import Authority, create_root, to_pem
from telnetsd.pki.certificate import certificate_sha256, describe
from telnetsd.pki.keys import KeyType, is_locked_pem, key_to_pem, key_type_of
from telnetsd.pki.revocation import Revocation, still_counts

CA_NAME: Final = "telnetsd CA"
ISSUING_NAME: Final = "telnetsd issuing CA"
SERVER_CA_NAME: Final = "telnetsd server CA"
_NAME_MAX_CHARS: Final = 64
"""The longest common name (RFC 5280 appendix A.1, ub-common-name)."""
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)


def rotate(home: Home, ask: AskPassphrase = passphrase_of_environment) -> tuple[x509.Certificate, str]:
    """Create a new CA that issues from now on; what the old one issued stays valid until it expires.

    With an intermediate, the root signs a new intermediate. Without one, a new root is created, and `certs/ca.pem`
    contains both roots.

    Returns: The certificate of the new CA, and why the CRLs could not be signed, if they could not.
    Raises:
        OperatorError: A key is not on this machine or cannot be used.
    """
    old = load_issuer(home, ask)
    has_intermediate = home.issuing_certificate.exists()
    root = load_root(home, ask) if has_intermediate else None
    with changing(home, by_operator()) as change:
        require_current(home, old)
        _keep_previous(change, old.certificate)
        old_pem = issuing_key_file(home).read_bytes()
        lock = ask() if is_locked_pem(old_pem) else None
        made = (
            _replace_root(change, key_type_of(old.key), lock)
            if root is None
            else _replace_intermediate(change, root, lock)
        )
        is_still_trusted = f"{short_fingerprint(old.certificate)} is still trusted"
        _record_rotation(change, made, is_still_trusted)
    return made.certificate, tell_others(home, by_operator(), ask)


def rotate_without_key(home: Home, passphrase: bytes | None) -> tuple[x509.Certificate, str]:
    """Create a new CA when the old one's key is lost; what the old one issued stays valid here until it expires.

    Args:
        home: The installation.
        passphrase: Encrypts the new keys.
    Returns: The certificate of the new CA, and why the CRLs could not be signed, if they could not.
    Raises:
        OperatorError: The key is not lost: its file exists.
    """
    key = issuing_key_file(home)
    if key.exists():
        raise OperatorError(
            f"{home.shown(key)} exists; move it away if it is not usable, or rotate without --lost-key"
        )
    old, has_intermediate = load_certificate_of_issuer(home), home.issuing_certificate.exists()
    with changing(home, by_operator()) as change:
        _keep_previous(change, old)
        made = _replace_root(change, key_type_of(old.public_key()), passphrase, path_length=int(has_intermediate))
        if has_intermediate:
            made = _replace_intermediate(change, made, passphrase)
        lost = f"the key of {short_fingerprint(old)} is lost: the CA is still trusted, but no longer signs CRLs"
        _record_rotation(change, made, lost)
    return made.certificate, tell_others(home, by_operator(), lambda: passphrase or b"")


def _replace_root(change: Change, key_type: KeyType, lock: bytes | None, path_length: int = 0) -> Authority:
    home = change.home
    made = create_root(_name_of(CA_NAME, change), change.at, path_length, key_type)
    change.write_public(home.ca_certificate, to_pem(made.certificate) + home.ca_certificate.read_bytes())
    change.write_secret(home.ca_key, key_to_pem(made.key, lock))
    return made


def _replace_intermediate(change: Change, root: Authority, lock: bytes | None) -> Authority:
    made = root.issue_intermediate(_name_of(ISSUING_NAME, change), change.at)
    change.write_public(change.home.issuing_certificate, to_pem(made.certificate))
    change.write_secret(change.home.issuing_key, key_to_pem(made.key, lock))
    return Authority(made.certificate, made.key, (made.certificate, root.certificate))


def _record_rotation(change: Change, made: Authority, of_the_old_one: str) -> None:
    message = f"the CA {short_fingerprint(made.certificate)} issues from now on; {of_the_old_one}"
    change.record(CaRotated(message=message, certificate=who.certificate(describe(made.certificate))))


def retire(home: Home, fingerprint: str) -> int:
    """Retire a previous CA: nothing that it issued is valid from now on.

    Args:
        home: The installation.
        fingerprint: The start of its fingerprint, as `ca show` prints it.
    Returns: How many certificates were revoked.
    Raises:
        OperatorError: There is no such CA, it still issues, or it issued the server's certificate.
    """
    found = _find_previous(home, fingerprint)
    if load_server_chain(home)[0].issuer == found.subject:
        raise OperatorError("certs/server.pem was issued by that CA; first run: telnetsd ca renew-server")
    sha256 = certificate_sha256(found)
    with changing(home, by_operator()) as change:
        live = [
            one
            for one in change.state.certificates.of_issuer(sha256)
            if one.not_after >= change.at and still_counts(one.revocation)
        ]
        revocation = Revocation(change.at, RevocationReason.SUPERSEDED)
        for one in live:
            change.state.certificates.revoke(one.sha256, revocation)
            message = f"the certificate {one.serial_number} of {one.user_name} was revoked with its CA"
            change.record(
                CertificateRevoked(
                    message=message,
                    revocation=who.revoked(revocation),
                    target=one.user_name,
                    serial_number=one.serial_number,
                )
            )
        _remove_root(change, found)
        _revoke_intermediate(change, found, revocation)
        stem = home.previous_folder / short_fingerprint(found)
        for path in (stem.with_suffix(".pem"), stem.with_suffix(".key"), crl_file(home, found)):
            change.delete(path)
        message = f"the CA {short_fingerprint(found)} is no longer trusted"
        change.record(CaRetired(message=message, certificate=who.certificate(describe(found))))
    return len(live)


def renew_server(
    home: Home, names: tuple[str, ...], ask: AskPassphrase = passphrase_of_environment
) -> x509.Certificate:
    """Issue a new server certificate, for the names of the old one or for others; a running server loads it.

    Raises:
        OperatorError: A name is neither a host name nor an address, or the CA's key is not on this machine.
    """
    for name in names:
        require_host_name(name)
    wanted = names or server_names(home)
    authority = load_server_issuer(home, ask)
    with changing(home, by_operator()) as change:
        made = authority.issue_server(wanted, change.at)
        change.write_secret(home.server_key, key_to_pem(made.key))
        change.write_public(home.server_certificate, encode_chain(made.certificate, authority))
        until = f"{made.certificate.not_valid_after_utc:%Y-%m-%d}"
        message = f"a certificate was issued to the server, for {', '.join(wanted)}, valid until {until}"
        sha256 = certificate_sha256(made.certificate).upper()
        change.record(CertificateIssued(message=message, server_sha256=sha256))
    return made.certificate


def relock(home: Home, ask: AskPassphrase, passphrase: bytes | None) -> tuple[str, ...]:
    """Encrypt the CA's keys on this machine with another passphrase, or not at all (None); return their names."""
    keys = [
        path
        for path in (home.ca_key, home.issuing_key, home.server_ca_key, *sorted(home.previous_folder.glob("*.key")))
        if path.exists()
    ]
    loaded = [(path, path.read_bytes(), load_key(home, path, ask)) for path in keys]
    with changing(home, by_operator()) as change:
        for path, pem, key in loaded:
            if path.read_bytes() != pem:
                raise OperatorError(f"{home.shown(path)} was changed by another process in the meantime; try again")
            change.write_secret(path, key_to_pem(key, passphrase))
    return tuple(home.shown(path) for path in keys)


def require_host_name(name: str) -> None:
    """Refuse a name that is neither a host name nor an address.

    Raises:
        OperatorError: It is neither.
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if _HOST_NAME.fullmatch(name) is None:
            raise OperatorError(
                f"not a host name: {name!r}; use letters, digits, dots and dashes, as in IDNA"
            ) from None


def _find_previous(home: Home, fingerprint: str) -> x509.Certificate:
    wanted = fingerprint_hex(fingerprint)
    found = [
        certificate
        for certificate, role in built_in_authorities(home)
        if wanted and certificate_sha256(certificate).startswith(wanted) and role.startswith("previous")
    ]
    if len(found) != 1:
        raise OperatorError(f"no previous CA has the fingerprint {fingerprint!a}; see: telnetsd ca show")
    return found[0]


def _keep_previous(change: Change, old: x509.Certificate) -> None:
    """Keep the certificate of the old CA, and its key if it is here: it still signs CRLs."""
    home = change.home
    make_secret_folder(home.previous_folder)
    stem, key = home.previous_folder / short_fingerprint(old), issuing_key_file(home)
    change.write_public(stem.with_suffix(".pem"), to_pem(old))
    if key.exists():
        change.write_secret(stem.with_suffix(".key"), key.read_bytes())


def _revoke_intermediate(change: Change, certificate: x509.Certificate, revocation: Revocation) -> None:
    """Record the revocation of an intermediate: its root stays trusted, and a client can still send it."""
    for root, _ in built_in_authorities(change.home):
        if root.subject == certificate.issuer and certificate.issuer != certificate.subject:
            record = record_of(certificate, "", certificate_sha256(root))
            change.state.certificates.add(record, certificate.public_bytes(Encoding.DER))
            change.state.certificates.revoke(record.sha256, revocation)


def _remove_root(change: Change, certificate: x509.Certificate) -> None:
    roots = load_roots(change.home)
    left = [one for one in roots if one != certificate]
    if len(left) < len(roots):
        change.write_public(change.home.ca_certificate, to_pem(*left))


def _name_of(kind: str, change: Change) -> str:
    """Return the name of a CA that replaces another one: the time distinguishes the two."""
    time = f" {change.at:%Y-%m-%d %H:%M:%S}"
    return f"{_cut(ca_name(kind, server_name(change.home)), _NAME_MAX_CHARS - len(time))}{time}"


def ca_name(kind: str, host: str) -> str:
    """Return the common name of a CA of an installation, by which a user tells it from that of another one."""
    return _cut(f"{kind} {host}", _NAME_MAX_CHARS)


def _cut(name: str, max_bytes: int) -> str:
    """Cut a name so that it is short enough in UTF-8 as well: X.509 libraries count bytes."""
    return name.encode()[:max_bytes].decode(errors="ignore")
