"""The one maker of identities: what it keeps, what it asks anew, and that nobody else makes any."""

import ast
from datetime import datetime
from pathlib import Path as FilePath

import pytest

import telnetsd
from support.certificates import DAY, Pair, Recipe, make_ca, make_intermediate, name, now
from telnetsd.identity import identify
from telnetsd.identity.cert_to_name import BUILT_IN_RULE_ID, CertToNameEntry, MapType, built_in_entry
from telnetsd.identity.identify import Identifier
from telnetsd.identity.outcome import (
    CertificateStatus,
    Guest,
    GuestReason,
    NamedUser,
    Refusal,
    User,
    is_user_name,
)
from telnetsd.pki.certificate import PeerCertificate, certificate_sha256, spki_sha256
from telnetsd.pki.path import Path, validate_path
from telnetsd.pki.path_reason import PathReason
from telnetsd.pki.trust import Trust, TrustAnchor, make_trust

CA = make_ca()


class Issued:
    """What the state knows: who has which key from which CA."""

    def __init__(self) -> None:
        self.users: dict[tuple[str, str], User] = {}

    def add(self, issuer: Pair, leaf: Pair, user: User) -> None:
        self.users[certificate_sha256(issuer.certificate), spki_sha256(leaf.certificate)] = user

    def user_of(self, issuer_sha256: str, spki_sha256: str) -> User | None:
        return self.users.get((issuer_sha256, spki_sha256))


def identifier(
    issued: Issued, *, entries: tuple[CertToNameEntry, ...] | None = None, require: bool = False
) -> Identifier:
    trust = make_trust((TrustAnchor(CA.certificate, "ca.pem"),))
    mapping = (built_in_entry(certificate_sha256(CA.certificate)),) if entries is None else entries
    return Identifier(trust, mapping, issued, require_certificate=require)


def test_who_was_issued_the_key_is_named_whatever_the_subject_says() -> None:
    issued, leaf = Issued(), Recipe(subject=name("root")).signed_by(CA)
    issued.add(CA, leaf, User("alice", ("user",)))
    identity = identifier(issued).identify(leaf.peer, now())
    assert isinstance(identity, NamedUser)
    assert (identity.name, identity.roles, identity.rule_id) == ("alice", ("user",), BUILT_IN_RULE_ID)
    assert identity.valid_until == leaf.certificate.not_valid_after_utc


def test_the_same_key_from_another_ca_of_the_same_name_is_another_person() -> None:
    issued, key = Issued(), Recipe().key
    issued.add(CA, Recipe(key=key).signed_by(CA), User("alice", ("user",)))
    impostor = Recipe(key=key).signed_by(make_ca())
    identity = identifier(issued).identify(impostor.peer, now())
    assert isinstance(identity, Refusal)
    assert identity.reason is PathReason.BAD_SIGNATURE


def test_an_intermediate_of_the_ca_does_not_speak_for_the_ca() -> None:
    """The state has (CA, key); a certificate for that key by somebody below the CA is not what was issued."""
    issued, key = Issued(), Recipe().key
    issued.add(CA, Recipe(key=key).signed_by(CA), User("alice", ("user",)))
    intermediate = make_intermediate(CA)
    leaf = Recipe(key=key).signed_by(intermediate)
    leaf.chain = [intermediate.certificate]
    assert isinstance(identifier(issued).identify(leaf.peer, now()), Guest)


def test_an_entry_that_is_not_in_the_path_names_nobody() -> None:
    issued, leaf = Issued(), Recipe().signed_by(CA)
    issued.add(CA, leaf, User("alice", ("user",)))
    elsewhere = CertToNameEntry("elsewhere", "0" * 64, MapType.ISSUED)
    identity = identifier(issued, entries=(elsewhere,)).identify(leaf.peer, now())
    assert identity == Guest(GuestReason.UNMAPPED, CertificateStatus.VERIFIED, identity.certificate)


def test_a_path_is_validated_once_and_the_user_is_asked_for_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    validated: list[PeerCertificate] = []

    def counted(peer: PeerCertificate, trust: Trust, at: datetime) -> Path:
        validated.append(peer)
        return validate_path(peer, trust, at)

    monkeypatch.setattr(identify, "validate_path", counted)
    issued, leaf = Issued(), Recipe().signed_by(CA)
    one = identifier(issued)
    assert isinstance(one.identify(leaf.peer, now()), Guest)
    issued.add(CA, leaf, User("alice", ("user",)))
    assert isinstance(one.identify(leaf.peer, now()), NamedUser)
    issued.users.clear()
    assert isinstance(one.identify(leaf.peer, now()), Guest)
    assert len(validated) == 1


def test_a_path_that_was_kept_does_not_outlive_its_certificate() -> None:
    issued, leaf = Issued(), Recipe().signed_by(CA)
    issued.add(CA, leaf, User("alice", ("user",)))
    one, end = identifier(issued), leaf.certificate.not_valid_after_utc
    assert isinstance(one.identify(leaf.peer, end), NamedUser)
    after = one.identify(leaf.peer, end + DAY / 86400_000_000)
    assert isinstance(after, Refusal)
    assert after.reason is PathReason.EXPIRED


def test_a_path_that_was_kept_does_not_begin_before_its_certificate() -> None:
    issued, leaf = Issued(), Recipe().signed_by(CA)
    one = identifier(issued)
    one.identify(leaf.peer, now())
    before = one.identify(leaf.peer, leaf.certificate.not_valid_before_utc - DAY)
    assert isinstance(before, Refusal)


def test_a_refusal_is_not_kept_since_the_intermediate_may_come_with_the_next_try() -> None:
    issued, intermediate = Issued(), make_intermediate(CA)
    leaf = Recipe().signed_by(intermediate)
    one = identifier(issued)
    assert isinstance(one.identify(leaf.peer, now()), Refusal)
    leaf.chain = [intermediate.certificate]
    assert isinstance(one.identify(leaf.peer, now()), Guest)


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identify, "VERDICTS_MAX", 3)
    one = identifier(Issued())
    for _ in range(6):
        one.identify(Recipe().signed_by(CA).peer, now())
    assert len(one._verdicts) == 3


def test_guests_become_refusals_where_a_certificate_is_required() -> None:
    one = identifier(Issued(), require=True)
    refused = [one.identify(peer, now()) for peer in (None, Recipe().self_signed().peer, Recipe().signed_by(CA).peer)]
    assert all(isinstance(one, Refusal) for one in refused)
    assert [one.status for one in refused] == ["none", "provisional", "verified"]


def test_nobody_but_identify_makes_an_identity() -> None:
    root = FilePath(telnetsd.__file__).parent
    makers = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in {"NamedUser", "Guest", "Refusal"}
        # In a `match`, a class pattern is no call; what is left are calls.
    }
    assert makers == {"identity/identify.py"}


@pytest.mark.parametrize("text", ["a", "alice", "a.b-c_d", "a" * 32, "x9"])
def test_user_names(text: str) -> None:
    assert is_user_name(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9x",
        "Alice",
        "a" * 33,
        "a b",
        "a\n",
        "a\x00",
        "\u0430lice",
        "\uff41lice",
        "a\u202e",
        "../x",
        ".a",
        "-a",
        "guest",
        "a/b",
    ],
)
def test_what_cannot_be_a_user_name(text: str) -> None:
    assert not is_user_name(text)
