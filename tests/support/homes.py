"""Home folders for tests: users added and certificates issued as an operator does, without the command line."""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from support.certificates import Pair, now
from telnetsd.administration.authority.authorities import load_issuer
from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.users.credentials import GeneratedKey, Issuance, user_files
from telnetsd.administration.users.users import NewUser, add_user
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.authority import UserProfile, to_pem
from telnetsd.pki.certificate import certificate_sha256, describe
from telnetsd.pki.keys import KeyType, generate_key, key_to_pem
from telnetsd.pki.revocation import Revocation
from telnetsd.state.opening import open_store
from telnetsd.state.records import IssuedCertificate
from telnetsd.state.store import Store


def add(home: Home, name: str, role: str = "user", key_type: KeyType = KeyType.EC, **grant: Any) -> Issuance:
    return add_user(home, NewUser(User(name, (role,))), GeneratedKey(key_type), Grant(**grant))


def note_issued(state: Store, issuer: Pair, leaf: Pair, user: str, revocation: Revocation | None = None) -> None:
    """Record in the state that a certificate was issued to a user; add the user if necessary."""
    facts = describe(leaf.certificate)
    record = IssuedCertificate(
        sha256=facts.sha256,
        user_name=user,
        issuer_sha256=certificate_sha256(issuer.certificate),
        spki_sha256=facts.spki_sha256,
        serial_number=facts.serial_number,
        public_key="EC 256",
        not_before=facts.not_before,
        not_after=facts.not_after,
    )
    with state.transaction():
        if not state.users.has(user):
            state.users.add(User(user, ("user",)), now(), is_mapped=False)
        state.certificates.add(record, leaf.der)
        state.certificates.revoke(record.sha256, revocation)


def issue_until(home: Home, name: str, not_after: datetime) -> None:
    """Add a user whose certificate of the built-in CA ends at a given moment, for tests where days are too long."""
    from datetime import timedelta

    authority, key = load_issuer(home), generate_key(KeyType.EC)
    certificate = authority.issue_user(key.public_key(), UserProfile(name, 1), not_after - timedelta(days=1))
    root = Pair(authority.certificate, authority.key)
    with closing(open_store(home)) as state:
        note_issued(state, root, Pair(certificate, key), name)
    files = user_files(home, name)
    files.certificate.write_bytes(to_pem(certificate, *authority.chain))
    files.key.touch(0o600)
    files.key.write_bytes(key_to_pem(key))


def built_in_ca(home: Home) -> Pair:
    authority = load_issuer(home)
    return Pair(authority.certificate, authority.key)


def fingerprint(pair: Pair) -> str:
    return f"SHA256:{certificate_sha256(pair.certificate)}"


def write_pem(path: Path, *pairs: Pair) -> Path:
    path.write_bytes(to_pem(*(one.certificate for one in pairs)))
    return path
