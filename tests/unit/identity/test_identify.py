"""The only maker of identities: what it caches, what it checks again, and that no other module makes one."""

import ast
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import telnetsd
from support.certificates import DAY, Recipe, make_ca, make_crl, make_intermediate, name, now
from support.der import other_signature
from support.homes import note_issued
from telnetsd.config.values import CrlPolicy
from telnetsd.events.reason import CertificateStatus, GuestReason, PathReason, RevocationReason, StatusReason
from telnetsd.identity import identify
from telnetsd.identity.assurance import make_classes
from telnetsd.identity.cert_to_name import BUILT_IN_RULE_ID, CertToNameEntry, IssuedEntry
from telnetsd.identity.identify import Identifier, Policy, restrict, status_of
from telnetsd.identity.outcome import Guest, NamedUser, Refusal, is_user_name
from telnetsd.pki.certificate import PeerCertificate, certificate_sha256
from telnetsd.pki.crl import RevocationLists, load_revocation_lists
from telnetsd.pki.path import CertificationPath, Signer, validate_path
from telnetsd.pki.revocation import Revocation
from telnetsd.pki.trust import Trust, TrustAnchor, make_trust
from telnetsd.state.sqlite.store import SqliteStore

CA = make_ca()


ISSUER = certificate_sha256(CA.certificate)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "state.db")) as opened:
        yield opened


def identifier(
    state: SqliteStore,
    *,
    entries: tuple[CertToNameEntry, ...] = (IssuedEntry(ISSUER),),
    require: bool = False,
    crls: RevocationLists | None = None,
    crl_policy: CrlPolicy = CrlPolicy.REQUIRE,
    is_built_in: bool = True,
) -> Identifier:
    trust = make_trust((TrustAnchor(CA.certificate, "ca.pem"),), crls=crls)
    built_in = frozenset({ISSUER} if is_built_in else set())
    policy = Policy(entries, make_classes({}, (), built_in), built_in, crl_policy, require)
    return Identifier(trust, policy, state)


def test_the_user_to_whom_the_key_was_issued_is_named_whatever_the_subject_says(state: SqliteStore) -> None:
    leaf = Recipe(subject=name("root")).signed_by(CA)
    note_issued(state, CA, leaf, "alice")
    identity = identifier(state).identify(leaf.peer, now())
    assert isinstance(identity, NamedUser)
    assert (identity.name, identity.roles, identity.rule_id) == ("alice", ("user",), BUILT_IN_RULE_ID)
    assert identity.valid_until == leaf.certificate.not_valid_after_utc


def test_the_same_key_from_another_ca_of_the_same_name_does_not_name_the_user(state: SqliteStore) -> None:
    key = Recipe().key
    note_issued(state, CA, Recipe(key=key).signed_by(CA), "alice")
    impostor = Recipe(key=key).signed_by(make_ca())
    identity = identifier(state).identify(impostor.peer, now())
    assert isinstance(identity, Refusal)
    assert identity.reason is PathReason.BAD_SIGNATURE


def test_an_intermediate_of_the_ca_cannot_issue_in_place_of_the_ca(state: SqliteStore) -> None:
    """The state has (CA, key); a certificate for that key from an issuer below the CA is not what was issued."""
    key = Recipe().key
    note_issued(state, CA, Recipe(key=key).signed_by(CA), "alice")
    intermediate = make_intermediate(CA)
    leaf = Recipe(key=key).signed_by(intermediate)
    leaf.chain = [intermediate.certificate]
    assert isinstance(identifier(state).identify(leaf.peer, now()), Guest)


def test_an_entry_that_is_not_in_the_path_names_no_user(state: SqliteStore) -> None:
    leaf = Recipe().signed_by(CA)
    note_issued(state, CA, leaf, "alice")
    elsewhere = IssuedEntry("0" * 64)
    identity = identifier(state, entries=(elsewhere,)).identify(leaf.peer, now())
    assert identity == Guest(GuestReason.UNMAPPED, CertificateStatus.VERIFIED, identity.certificate)


def test_a_path_is_validated_once_and_the_user_is_looked_up_again_after_a_write(
    monkeypatch: pytest.MonkeyPatch, state: SqliteStore, tmp_path: Path
) -> None:
    validated: list[PeerCertificate] = []

    def counted(peer: PeerCertificate, trust: Trust, at: datetime) -> CertificationPath:
        validated.append(peer)
        return validate_path(peer, trust, at)

    monkeypatch.setattr(identify, "validate_path", counted)
    leaf = Recipe().signed_by(CA)
    one, writing = identifier(state), SqliteStore(tmp_path / "state.db")
    assert isinstance(one.identify(leaf.peer, now()), Guest)
    note_issued(writing, CA, leaf, "alice")
    alice = one.identify(leaf.peer, now())
    assert isinstance(alice, NamedUser)
    assert one.identify(leaf.peer, now()) is alice
    with writing.transaction():
        writing.users.remove("alice")
    assert isinstance(one.identify(leaf.peer, now()), Guest)
    writing.close()
    assert len(validated) == 1


def test_a_cached_path_does_not_outlive_its_certificate(state: SqliteStore) -> None:
    leaf = Recipe().signed_by(CA)
    note_issued(state, CA, leaf, "alice")
    one, end = identifier(state), leaf.certificate.not_valid_after_utc
    assert isinstance(one.identify(leaf.peer, end), NamedUser)
    after = one.identify(leaf.peer, end + DAY / 86400_000_000)
    assert isinstance(after, Refusal)
    assert after.reason is PathReason.EXPIRED


def test_a_cached_path_is_not_used_before_its_certificate_is_valid(state: SqliteStore) -> None:
    leaf = Recipe().signed_by(CA)
    one = identifier(state)
    one.identify(leaf.peer, now())
    before = one.identify(leaf.peer, leaf.certificate.not_valid_before_utc - DAY)
    assert isinstance(before, Refusal)


def test_a_cached_verdict_does_not_outlive_the_crl_that_it_depends_on(state: SqliteStore, tmp_path: Path) -> None:
    leaf, end = Recipe().signed_by(CA), now() + timedelta(minutes=5)
    note_issued(state, CA, leaf, "alice")
    crl = tmp_path / "ca.crl"
    crl.write_bytes(make_crl(issuer=CA, until=end))
    lists = load_revocation_lists([(crl, crl.name)], RevocationLists())
    one = identifier(state, crls=lists, is_built_in=False)
    for at in (now(), end):
        assert isinstance(one.identify(leaf.peer, at), NamedUser)
    late = one.identify(leaf.peer, end + timedelta(microseconds=1))
    assert isinstance(late, Refusal)
    assert late.reason is StatusReason.UNKNOWN


def test_a_refusal_is_cached_only_for_the_same_presentation(
    state: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    intermediate = make_intermediate(CA)
    leaf = Recipe().signed_by(intermediate)
    one = identifier(state)
    alone = leaf.peer
    assert isinstance(one.identify(alone, now()), Refusal)
    leaf.chain = [intermediate.certificate]
    assert isinstance(one.identify(leaf.peer, now()), Guest)
    monkeypatch.delattr(identify, "validate_path")
    assert isinstance(one.identify(alone, now()), Refusal)
    assert isinstance(one.identify(leaf.peer, now()), Guest)


def test_the_cache_is_bounded_and_strangers_evict_no_user(
    monkeypatch: pytest.MonkeyPatch, state: SqliteStore
) -> None:
    monkeypatch.setattr(identify, "VERDICTS_MAX", 3)
    monkeypatch.setattr(identify, "OTHERS_MAX", 2)
    one = identifier(state)
    for _ in range(6):
        one.identify(Recipe().signed_by(CA).peer, now())
    kept = dict(one._paths)
    for _ in range(6):
        one.identify(Recipe().self_signed().peer, now())
    assert (len(kept), len(one._others)) == (3, 2)
    assert dict(one._paths) == kept


def test_a_verdict_holds_until_the_clock_changes_it(state: SqliteStore) -> None:
    begin, end = now() + DAY, now() + 2 * DAY
    leaf = Recipe(not_before=begin, not_after=end).signed_by(CA)
    one = identifier(state)
    found = [one.identify(leaf.peer, at) for at in (now(), begin, end, end + timedelta(microseconds=1))]
    assert [getattr(identity, "reason", None) for identity in found] == [
        PathReason.NOT_YET_VALID, GuestReason.UNMAPPED, GuestReason.UNMAPPED, PathReason.EXPIRED,
    ]  # fmt: skip


def test_guests_are_refused_where_a_certificate_is_required(state: SqliteStore) -> None:
    one = identifier(state, require=True)
    refused = [one.identify(peer, now()) for peer in (None, Recipe().self_signed().peer, Recipe().signed_by(CA).peer)]
    assert all(isinstance(one, Refusal) for one in refused)
    assert [one.status for one in refused] == ["none", "provisional", "verified"]


def test_a_refusal_for_a_late_crl_has_no_guest_as_alternative_where_a_certificate_is_required(
    state: SqliteStore,
) -> None:
    leaf = Recipe().signed_by(CA)
    for require in (False, True):
        one = identifier(state, entries=(), require=require, is_built_in=False)
        refusal = one.identify(leaf.peer, now())
        assert isinstance(refusal, Refusal)
        assert refusal.reason is StatusReason.UNKNOWN
        assert isinstance(refusal.otherwise, Guest) is not require


def test_an_intermediate_with_another_signature_hides_no_revocation(state: SqliteStore) -> None:
    """An issued certificate is known by its issuer's certificate, of which a peer can send another valid form."""
    intermediate = make_intermediate(CA)
    leaf = Recipe().signed_by(intermediate)
    note_issued(state, intermediate, leaf, "alice", Revocation(now(), RevocationReason.CERTIFICATE_HOLD))
    trust = make_trust((TrustAnchor(CA.certificate, "ca.pem"),), (intermediate.certificate,))
    policy = Policy((IssuedEntry(ISSUER),), make_classes({}, (), [ISSUER]), frozenset({ISSUER}))
    for der in (intermediate.der, other_signature(intermediate.certificate)):
        refusal = Identifier(trust, policy, state).identify(PeerCertificate(leaf.der, (der,)), now())
        assert isinstance(refusal, Refusal)
        assert refusal.reason is StatusReason.ON_HOLD


def test_only_identify_makes_an_identity() -> None:
    root = Path(telnetsd.__file__).parent
    makers = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) in {"NamedUser", "Guest", "Refusal"}
        # In a `match`, a class pattern is not a call, so only real calls are found.
    }
    assert makers == {"identity/identify.py"}


@pytest.mark.parametrize("text", ["a", "alice", "a.b-c_d", "a" * 32, "x9"])
def test_a_valid_user_name_is_accepted(text: str) -> None:
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
def test_an_invalid_user_name_is_rejected(text: str) -> None:
    assert not is_user_name(text)


def test_a_client_refused_only_for_a_late_crl_must_meet_the_other_demands(state: SqliteStore) -> None:
    guest = Guest(GuestReason.NO_CERTIFICATE, CertificateStatus.NONE, None)
    unknown = Refusal(
        reason=StatusReason.UNKNOWN, status=CertificateStatus.REJECTED, certificate=None, otherwise=guest
    )
    assert restrict(unknown, needs_certificate=False, has_role=lambda _: True) is unknown
    for kept_out in (
        restrict(unknown, needs_certificate=False, has_role=lambda _: False),
        restrict(unknown, needs_certificate=True),
    ):
        assert isinstance(kept_out, Refusal)
        assert (kept_out.reason, kept_out.otherwise) == (StatusReason.UNKNOWN, None)


def test_a_crl_of_a_ca_that_is_revoked_itself_does_not_count(tmp_path: Path) -> None:
    # Two CAs have the leaf's issuer name and may sign its CRL: the issuer, and a second key of it, which is revoked.
    issuer, second = make_intermediate(CA, "Issuer"), make_intermediate(CA, "Issuer")
    leaf = Recipe().signed_by(issuer)
    signers = (
        Signer(issuer.certificate, certificate_sha256(issuer.certificate), CA.certificate),
        Signer(second.certificate, certificate_sha256(second.certificate), CA.certificate),
        Signer(CA.certificate, ISSUER),
    )
    of_second = make_crl(issuer=second)
    revoking = make_crl(second.certificate.serial_number, issuer=CA)
    for contents, is_known in (((of_second,), True), ((of_second, revoking), False)):
        trust = make_trust((TrustAnchor(CA.certificate, "ca.pem"),), crls=load_crls(tmp_path, *contents))
        assert status_of(leaf.certificate, signers, trust, now()).is_known is is_known


def load_crls(folder: Path, *contents: bytes) -> RevocationLists:
    files = []
    for number, content in enumerate(contents):
        path = folder / f"{number}.crl"
        path.write_bytes(content)
        files.append((path, path.name))
    return load_revocation_lists(files, RevocationLists())
