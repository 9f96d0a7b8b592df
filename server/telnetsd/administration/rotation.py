"""A new CA beside the old one, and later the end of the old one; and the server's own certificate."""

import ipaddress
import re
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.administration.authorities import (
    AskPassphrase,
    built_in_authorities,
    crl_file,
    encode_chain,
    load_issuer,
    load_key,
    load_root,
    load_roots,
    passphrase_of_environment,
    require_current,
    short_fingerprint,
    tell_others,
)
from telnetsd.administration.change import Change, changing
from telnetsd.administration.issuing import record_of
from telnetsd.administration.material import load_server_chain, server_names
from telnetsd.administration.operator import by_operator
from telnetsd.audit.event import Action, certificate_fields, revocation_fields
from telnetsd.config.settings import fingerprint_hex
from telnetsd.errors import OperatorError
from telnetsd.home import Home, make_secret_folder
from telnetsd.pki.authority import Authority, create_root, to_pem
from telnetsd.pki.certificate import certificate_sha256, describe
from telnetsd.pki.keys import PrivateKey, is_locked_pem, key_to_pem
from telnetsd.pki.revocation import Revocation, RevocationReason

CA_NAME: Final = "telnetsd CA"
ISSUING_NAME: Final = "telnetsd issuing CA"
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)


def rotate(home: Home, ask: AskPassphrase = passphrase_of_environment) -> tuple[x509.Certificate, str]:
    """Make a new CA that issues from now on; what the old one issued stays valid to its end.

    With an intermediate, the root signs another one; else there is another root, and `certs/ca.pem` has both.

    Returns: The certificate of the new CA, and why the CRLs could not be signed, if they could not.
    Raises:
        OperatorError: A key is not here or cannot be used.
    """
    old = load_issuer(home, ask)
    has_intermediate = home.issuing_certificate.exists()
    root = load_root(home, ask) if has_intermediate else None
    with changing(home, by_operator()) as change:
        require_current(home, old)
        _keep_previous(change, old)
        if root is not None:
            made = root.issue_intermediate(_dated(ISSUING_NAME, change), change.at)
            change.write_public(home.issuing_certificate, to_pem(made.certificate))
            change.write_secret(home.issuing_key, _relock(home.issuing_key.read_bytes(), made.key, ask))
            certificate = made.certificate
        else:
            new = create_root(_dated(CA_NAME, change), change.at, path_length=0)
            change.write_public(home.ca_certificate, to_pem(new.certificate) + home.ca_certificate.read_bytes())
            change.write_secret(home.ca_key, _relock(home.ca_key.read_bytes(), new.key, ask))
            certificate = new.certificate
        fingerprint = short_fingerprint(certificate)
        message = f"the CA {fingerprint} issues from now on; {short_fingerprint(old.certificate)} is still trusted"
        change.record(Action.CA_ROTATED, message, {"tls": {"client": certificate_fields(describe(certificate))}})
    return certificate, tell_others(home, by_operator(), ask)


def retire(home: Home, fingerprint: str) -> int:
    """End the time of a CA of before a rotation: nothing that it issued counts any more.

    Args:
        home: The installation.
        fingerprint: The start of its fingerprint, as `ca show` has it.
    Returns: How many certificates were revoked.
    Raises:
        OperatorError: There is no such CA, or it still issues, or the server's certificate is of it.
    """
    found = _find_previous(home, fingerprint)
    if load_server_chain(home)[0].issuer == found.subject:
        raise OperatorError("certs/server.pem was issued by that CA: first run: telnetsd ca renew-server")
    sha256 = certificate_sha256(found)
    with changing(home, by_operator()) as change:
        live = [
            one
            for one in change.state.certificates.of_issuer(sha256)
            if one.not_after >= change.at and (one.revocation is None or one.revocation.is_hold)
        ]
        revocation = Revocation(change.at, RevocationReason.SUPERSEDED)
        for one in live:
            change.state.certificates.revoke(one.sha256, revocation)
            message = f"the certificate {one.serial_number} of {one.user_name} was revoked with its CA"
            fields = {
                "user": {"target": {"name": one.user_name}},
                "tls": {"client": {"x509": {"serial_number": one.serial_number}}},
                "telnetsd": {"certificate": revocation_fields(revocation)},
            }
            change.record(Action.CERTIFICATE_REVOKED, message, fields)
        _remove_root(change, found)
        _revoke_intermediate(change, found, revocation)
        stem = home.previous_folder / short_fingerprint(found)
        for path in (stem.with_suffix(".pem"), stem.with_suffix(".key"), crl_file(home, found)):
            change.delete(path)
        message = f"the CA {short_fingerprint(found)} is trusted no more"
        change.record(Action.CA_RETIRED, message, {"tls": {"client": certificate_fields(describe(found))}})
    return len(live)


def renew_server(
    home: Home, names: tuple[str, ...], ask: AskPassphrase = passphrase_of_environment
) -> x509.Certificate:
    """Issue the server another certificate, for the names of the old one or for others; a running server takes it.

    Raises:
        OperatorError: A name is none, or the CA's key is not here.
    """
    for name in names:
        require_host_name(name)
    wanted = names or server_names(home)
    authority = load_issuer(home, ask)
    with changing(home, by_operator()) as change:
        require_current(home, authority)
        made = authority.issue_server(wanted, change.at)
        change.write_secret(home.server_key, key_to_pem(made.key))
        change.write_public(home.server_certificate, encode_chain(made.certificate, authority))
        until = f"{made.certificate.not_valid_after_utc:%Y-%m-%d}"
        message = f"a certificate was issued to the server, for {', '.join(wanted)}, valid until {until}"
        fields = {"tls": {"server": {"hash": {"sha256": certificate_sha256(made.certificate).upper()}}}}
        change.record(Action.CERTIFICATE_ISSUED, message, fields)
    return made.certificate


def relock(home: Home, ask: AskPassphrase, passphrase: bytes | None) -> tuple[str, ...]:
    """Encrypt the CA's keys that are here with another passphrase, or with None not at all; return their names."""
    keys = [
        path for path in (home.ca_key, home.issuing_key, *sorted(home.previous_folder.glob("*.key"))) if path.exists()
    ]
    loaded = [(path, path.read_bytes(), load_key(home, path, ask)) for path in keys]
    with changing(home, by_operator()) as change:
        for path, pem, key in loaded:
            if path.read_bytes() != pem:
                raise OperatorError(f"{home.shown(path)} was changed by somebody else meanwhile; try again")
            change.write_secret(path, key_to_pem(key, passphrase))
    return tuple(home.shown(path) for path in keys)


def require_host_name(name: str) -> None:
    """Refuse what is neither a host name nor an address.

    Raises:
        OperatorError: It is neither.
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if _HOST_NAME.fullmatch(name) is None:
            raise OperatorError(
                f"not a host name: {name!r}; take letters, digits, dots and dashes, as in IDNA"
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


def _keep_previous(change: Change, old: Authority) -> None:
    home = change.home
    make_secret_folder(home.previous_folder)
    stem = home.previous_folder / short_fingerprint(old.certificate)
    source = home.issuing_key if home.issuing_certificate.exists() else home.ca_key
    change.write_public(stem.with_suffix(".pem"), to_pem(old.certificate))
    change.write_secret(stem.with_suffix(".key"), source.read_bytes())


def _revoke_intermediate(change: Change, certificate: x509.Certificate, revocation: Revocation) -> None:
    """Note that an intermediate is revoked: its root stays trusted, and whoever has its certificate can send it."""
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


def _relock(old_pem: bytes, key: PrivateKey, ask: AskPassphrase) -> bytes:
    return key_to_pem(key, ask() if is_locked_pem(old_pem) else None)


def _dated(name: str, change: Change) -> str:
    """Tell one CA from the next by its name."""
    return f"{name} {change.at:%Y-%m-%d %H:%M:%S}"
