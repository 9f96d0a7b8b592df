"""Restoring: what was taken away after the backup stays so, and what cannot be proved is not given back."""

import json
import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from cryptography import x509

from support.audit import assert_intact, read_log
from support.certificates import make_ca, now
from support.homes import add, write_pem
from support.processes import open_files
from support.server import action_of, wait_until
from telnetsd.administration.authority.authorities import crl_file, load_issuer, rewrite_crls
from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.authority.revocation import RevocationTarget, restore, revoke
from telnetsd.administration.authority.rotation import renew_server, retire, rotate
from telnetsd.administration.authority.trust import add_trust, list_trust, remove_trust
from telnetsd.administration.backup import placing, restoring
from telnetsd.administration.backup.making import make_backup
from telnetsd.administration.backup.restoring import Restored, RestoreOptions, restore_backup
from telnetsd.administration.initialise import initialise
from telnetsd.administration.installation.audit_key import change_audit_key
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.users.credentials import PinnedKey, user_files
from telnetsd.administration.users.users import NewUser, add_user, change_user, remove_user, rename_user
from telnetsd.audit import who
from telnetsd.audit.chain import Head, make_draft, read_link, seal
from telnetsd.audit.compression import compress
from telnetsd.audit.key import load_audit_key
from telnetsd.audit.log import AuditLog
from telnetsd.audit.trail import make_event
from telnetsd.config.settings import AuditSettings
from telnetsd.errors import OperatorError
from telnetsd.events.context import RevocationPart, TargetPart
from telnetsd.events.event import Event
from telnetsd.events.of_changes import CertificateIssued, CertificateRevoked, ChangeUndone, UserChanged
from telnetsd.events.reason import CheckpointReason, RevocationReason
from telnetsd.files.home import Home, alone, require_whole
from telnetsd.identity.outcome import User
from telnetsd.pki.certificate import certificate_sha256, describe
from telnetsd.state.opening import open_store
from telnetsd.state.records import UserRecord

HOLD = RevocationReason.CERTIFICATE_HOLD
PASSPHRASE = b"correct horse"


class Place:
    """An installation, a backup of it, and where that is restored to."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home = home
        self.backup = folder / "b.tar.zst"
        self.target = Home(folder / "restored")

    def back_up(self, passphrase: bytes | None = PASSPHRASE) -> None:
        self.backup.unlink(missing_ok=True)
        make_backup(self.home, self.backup, passphrase, has_recordings=False)

    def sign(self) -> None:
        with closing(AuditLog(self.home.audit_file, load_audit_key(self.home))) as log:
            log.checkpoint(CheckpointReason.REQUESTED)

    def restore(
        self,
        *,
        has_log: bool = True,
        is_forced: bool = False,
        into: Home | None = None,
        is_without_log: bool = False,
    ) -> Restored:
        options = RestoreOptions(
            log_folder=self.home.audit_file.parent if has_log else None,
            is_without_log=is_without_log,
            public_keys=None,
            is_forced=is_forced,
            ask_backup=lambda: PASSPHRASE,
            ask_ca=lambda: b"",
        )
        return restore_backup(into or self.target, self.backup, options)

    def user(self, name: str) -> UserRecord:
        with closing(open_store(self.target)) as state:
            return state.users.require(name)

    def taken(self, name: str) -> bool:
        with closing(open_store(self.target)) as state:
            return state.is_taken(name)


@pytest.fixture
def place(home: Home, tmp_path: Path) -> Place:
    made = Place(home, tmp_path)
    made.back_up()
    return made


def revoke_all(home: Home, name: str, reason: RevocationReason = RevocationReason.UNSPECIFIED) -> None:
    revoke(home, RevocationTarget((name,)), reason, by_operator())


def test_a_restored_installation_is_the_one_that_was_backed_up(place: Place) -> None:
    restored = place.restore()
    assert (restored.missing_keys, restored.warning, restored.has_new_audit_key) == ((), "", False)
    former = sorted(one.relative_to(place.home.root) for one in place.home.certs_folder.rglob("*") if one.is_file())
    for path in former:
        if path.parent.name != "crl" and path.name != ".lock":
            assert (place.target.root / path).read_bytes() == (place.home.root / path).read_bytes()
            assert (place.target.root / path).stat().st_mode == (place.home.root / path).stat().st_mode
    assert load_issuer(place.target).certificate == load_issuer(place.home).certificate
    assert [one.name for one in place.target.root.glob(".*")] == []


def test_the_log_says_what_was_backed_up_and_restored_and_stays_intact(place: Place) -> None:
    before = assert_intact(place.home.audit_file, load_audit_key(place.home))
    place.restore()
    assert_intact(place.target.audit_file, load_audit_key(place.target))
    events = read_log(place.target.audit_file)
    (made,) = [one for one in events if action_of(one) == "installation-backed-up"]
    (restored,) = [one for one in events if action_of(one) == "installation-restored"]
    assert restored["event"]["sequence"] == before.last_sequence + 1
    for field in ("last_sequence", "last_sha256", "sha256"):
        assert made["telnetsd"]["backup"][field] == restored["telnetsd"]["backup"][field]
    assert made["telnetsd"]["backup"]["has_keys"] is True
    assert restored["telnetsd"]["backup"]["taken_at"] < restored["@timestamp"]


def test_a_revocation_after_the_backup_is_applied_with_its_time_and_reason(place: Place) -> None:
    revoke_all(place.home, "bob", RevocationReason.KEY_COMPROMISE)
    restored = place.restore()
    assert restored.applied.done == {"revocation": 1}
    with closing(open_store(place.home)) as state:
        there = state.users.require("bob").certificates
    assert place.user("bob").certificates == there


def test_without_a_later_log_what_was_revoked_after_the_backup_is_valid_again_and_that_is_said(place: Place) -> None:
    revoke_all(place.home, "bob")
    restored = place.restore(has_log=False)
    assert restored.later is None
    assert place.user("bob").certificates[0].revocation is None


def test_a_removal_after_the_backup_is_applied(place: Place) -> None:
    assert user_files(place.home, "bob").key.exists()
    remove_user(place.home, "bob")
    restored = place.restore()
    with closing(open_store(place.target)) as state:
        assert not state.users.has("bob")
        assert state.users.was_removed("bob")
        assert all(one.revocation is not None for one in state.certificates.of_user("bob"))
    assert restored.applied.done["removal"] == 1
    assert not user_files(place.target, "bob").key.exists()


def test_a_hold_and_its_end_after_the_backup_are_applied(place: Place) -> None:
    for name in ("bob", "ed"):
        revoke_all(place.home, name, HOLD)
    restore(place.home, RevocationTarget(("bob",)), by_operator())
    place.restore()
    assert place.user("bob").certificates[0].revocation is None
    revocation = place.user("ed").certificates[0].revocation
    assert revocation is not None
    assert revocation.is_hold


def test_a_pin_is_revoked_and_restored_as_after_the_backup(place: Place) -> None:
    pin = f"SHA256:{'A' * 64}"
    add_user(place.home, NewUser(User("pat", ("user",))), PinnedKey(pin), Grant())
    place.back_up()
    revoke_all(place.home, "pat", HOLD)
    place.restore()
    assert place.user("pat").pins[0].revocation is not None
    restore(place.home, RevocationTarget(("pat",)), by_operator())
    place.restore(is_forced=True)
    assert place.user("pat").pins[0].revocation is None


def test_roles_and_names_after_the_backup_are_applied(place: Place) -> None:
    change_user(place.home, "alice", ("user",), is_mapped=None)
    change_user(place.home, "ed", ("operator",), is_mapped=True)
    rename_user(place.home, "bob", "robert")
    place.restore()
    assert place.user("alice").user.roles == ("user",)
    assert (place.user("ed").user.roles, place.user("ed").is_mapped) == (("operator",), True)
    assert place.user("robert").certificates
    assert place.taken("bob")
    assert user_files(place.target, "robert").key.exists()


def test_a_ca_that_is_no_longer_trusted_is_not_trusted_after_a_restore(place: Place, tmp_path: Path) -> None:
    both = [make_ca("one"), make_ca("two")]
    add_trust(place.home, write_pem(tmp_path / "both.pem", *both), is_intermediate=False)
    place.home.trust_folder.joinpath("file.pem").write_bytes(write_pem(tmp_path / "x", make_ca("three")).read_bytes())
    place.back_up()
    remove_trust(place.home, certificate_sha256(both[0].certificate))
    restored = place.restore()
    subjects = {one.certificate.subject.rfc4514_string() for one in list_trust(place.target)}
    assert "CN=one" not in subjects
    assert {"CN=two", "CN=three"} <= subjects
    assert restored.applied.done == {"removal": 1}


def test_what_was_given_after_the_backup_is_named_as_lost(place: Place, tmp_path: Path) -> None:
    add(place.home, "carol")
    add(place.home, "dave")
    remove_user(place.home, "dave")
    add_trust(place.home, write_pem(tmp_path / "ca.pem", make_ca("later")), is_intermediate=False)
    rotate(place.home)
    restored = place.restore()
    assert list(restored.applied.users) == ["carol"]
    assert [one.split(";")[0] for one in restored.applied.again] == [
        "CN=later is a trust anchor from now on",
        f"the CA {certificate_sha256(load_issuer(place.home).certificate)[:16]} issues from now on",
    ]


def test_what_a_retired_ca_issued_stays_revoked(place: Place) -> None:
    old = load_issuer(place.home).certificate
    rotate(place.home)
    renew_server(place.home, ())
    retire(place.home, certificate_sha256(old)[:16])
    restored = place.restore()
    assert all(one.revocation is not None for one in place.user("bob").certificates)
    assert restored.applied.again[-1] == f"the CA {certificate_sha256(old)[:16]} is no longer trusted"


def cut_after(home: Home, action: str) -> None:
    """Remove the seal, and whatever follows the last event with this action, as in a copy that is a little behind."""
    lines = home.audit_file.read_bytes().splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if action_of(json.loads(line)) == action)
    home.audit_file.write_bytes(b"".join(lines[: last + 1]))
    home.audit_file.with_suffix(".seal").unlink()


def test_what_no_signature_covers_takes_away_but_gives_nothing_back(place: Place) -> None:
    revoke_all(place.home, "ed", HOLD)
    place.back_up()
    restore(place.home, RevocationTarget(("ed",)), by_operator())
    revoke_all(place.home, "bob")
    rename_user(place.home, "bob", "robert")
    change_user(place.home, "alice", ("user", "operator"), is_mapped=True)
    cut_after(place.home, "user-changed")
    restored = place.restore()
    assert restored.applied.left_out == 2
    assert place.user("ed").certificates[0].revocation is not None
    assert place.user("bob").certificates[0].revocation is not None
    assert (place.user("alice").user.roles, place.user("alice").is_mapped) == (("operator",), False)
    assert restored.applied.again == ["bob was renamed to robert"]


def test_lines_after_a_break_of_the_chain_take_away_but_give_nothing_back(place: Place) -> None:
    revoke_all(place.home, "ed", HOLD)
    place.back_up()
    change_user(place.home, "bob", ("user",), is_mapped=False)
    restore(place.home, RevocationTarget(("ed",)), by_operator())
    revoke_all(place.home, "alice")
    place.sign()
    content = place.home.audit_file.read_bytes().splitlines(keepends=True)
    broken = next(number for number, line in enumerate(content) if b'"user-changed"' in line)
    place.home.audit_file.write_bytes(b"".join([*content[:broken], *content[broken + 1 :]]))
    restored = place.restore()
    assert restored.later is not None
    assert restored.later.damage == f"audit.jsonl line {broken + 1}: it does not follow the line before it"
    assert place.user("ed").certificates[0].revocation is not None
    assert place.user("alice").certificates[0].revocation is not None


def test_a_change_that_was_undone_gives_nothing_back(place: Place) -> None:
    change_user(place.home, "bob", ("operator",), is_mapped=False)
    change_user(place.home, "bob", ("user",), is_mapped=False)
    change_user(place.home, "bob", ("operator",), is_mapped=False)
    last = read_log(place.home.audit_file)[-1]
    with closing(AuditLog(place.home.audit_file, load_audit_key(place.home))) as log:
        log.append([make_event(ChangeUndone(message=f"an interrupted change was undone: {last['message']}"))])
    place.restore()
    assert place.user("bob").user.roles == ()


def test_what_was_taken_away_stays_taken_away_if_its_repetition_was_interrupted(place: Place) -> None:
    change_user(place.home, "alice", ("user",), is_mapped=False)
    last = read_log(place.home.audit_file)[-1]
    with closing(AuditLog(place.home.audit_file, load_audit_key(place.home))) as log:
        log.append([make_event(ChangeUndone(message=f"an interrupted change was undone: {last['message']}"))])
    place.restore()
    assert place.user("alice").user.roles == ()


def test_the_number_of_a_crl_never_goes_back(place: Place) -> None:
    rewrite_crls(place.home, by_operator(), lambda: b"")
    rewrite_crls(place.home, by_operator(), lambda: b"")

    def number(home: Home) -> int:
        crl = x509.load_pem_x509_crl(crl_file(home, load_issuer(home).certificate).read_bytes())
        return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number

    place.restore(has_log=False)
    assert number(place.target) > number(place.home)
    first = number(place.target)
    place.restore(has_log=False, is_forced=True)
    assert number(place.target) >= first


def test_rotated_and_compressed_files_of_the_later_log_are_taken_over(place: Place) -> None:
    key = load_audit_key(place.home)
    settings = AuditSettings(rotate_bytes=2000)
    with closing(AuditLog(place.home.audit_file, key, settings)) as log:
        for _ in range(8):
            log.append([make_event(UserChanged(message="x", name="bob", roles=("user",), is_mapped=False))])
    rotated = sorted(place.home.audit_file.parent.glob("audit-*.jsonl"))
    assert len(rotated) > 1
    compress(rotated[0])
    place.restore()
    assert_intact(place.target.audit_file, load_audit_key(place.target))
    names = {one.name for one in place.home.audit_file.parent.iterdir() if one.name.startswith("audit")}
    assert names == {one.name for one in place.target.audit_file.parent.iterdir() if one.name.startswith("audit")}


def test_files_that_only_the_backup_has_are_kept(place: Place) -> None:
    key = load_audit_key(place.home)
    with closing(AuditLog(place.home.audit_file, key, AuditSettings(rotate_bytes=1000))) as log:
        log.append([make_event(UserChanged(message="x", name="bob", roles=("user",), is_mapped=False))])
    (first,) = place.home.audit_file.parent.glob("audit-*.jsonl")
    place.back_up()
    first.unlink()
    place.restore()
    assert_intact(place.target.audit_file, load_audit_key(place.target))


def test_a_log_that_begins_inside_a_file_of_the_backup_is_refused(place: Place, tmp_path: Path) -> None:
    for _ in range(2):
        change_user(place.home, "bob", ("user",), is_mapped=False)
    place.back_up()
    lines = place.home.audit_file.read_bytes().splitlines(keepends=True)
    place.home.audit_file.write_bytes(b"".join(lines[3:]))
    with pytest.raises(OperatorError, match="it begins with line 4, in the middle of a file of the backup"):
        place.restore()
    assert not place.target.state_file.exists()


@pytest.mark.parametrize("what", ["of another installation", "that ends before the backup", "that is not there"])
def test_a_log_that_does_not_go_on_after_the_backup_is_refused(what: str, place: Place, tmp_path: Path) -> None:
    if what == "of another installation":
        other = Home(tmp_path / "other")
        initialise(other, ())
        shutil.rmtree(place.home.audit_file.parent)
        shutil.copytree(other.audit_file.parent, place.home.audit_file.parent)
    elif what == "that ends before the backup":
        lines = place.home.audit_file.read_bytes().splitlines(keepends=True)
        place.home.audit_file.write_bytes(b"".join(lines[:3]))
    else:
        shutil.rmtree(place.home.audit_file.parent)
    with pytest.raises(OperatorError, match=f"^the log in {place.home.audit_file.parent} cannot be used: "):
        place.restore()
    assert not place.target.state_file.exists()


def test_a_folder_with_content_is_refused_and_nothing_in_it_changes(place: Place) -> None:
    place.target.root.mkdir()
    (place.target.root / "mine").write_text("keep")
    with pytest.raises(OperatorError, match="is not empty: it has mine; restore into another folder with --home"):
        place.restore()
    assert [one.name for one in place.target.root.iterdir()] == ["mine"]


def test_a_running_installation_is_refused(place: Place) -> None:
    with alone(place.home), pytest.raises(OperatorError, match="a server is already running on this home folder"):
        place.restore(has_log=False, is_forced=True, into=place.home)


def test_force_moves_the_installation_aside_and_applies_its_log_and_keys(place: Place) -> None:
    place.back_up(passphrase=None)
    revoke_all(place.home, "bob")
    key = place.home.ca_key.read_bytes()
    (place.home.root / "webhook.secret").write_text("x")
    restored = place.restore(has_log=False, is_forced=True, into=place.home)
    assert restored.moved_aside is not None
    assert (restored.moved_aside / "certs/ca.key").read_bytes() == key
    assert (restored.missing_keys, restored.has_new_audit_key) == ((), False)
    assert place.home.ca_key.read_bytes() == key
    assert (place.home.root / "webhook.secret").exists()
    with closing(open_store(place.home)) as state:
        assert state.users.require("bob").certificates[0].revocation is not None


def test_without_keys_a_new_audit_key_signs_and_the_missing_ones_are_named(place: Place) -> None:
    place.back_up(passphrase=None)
    restored = place.restore(has_log=False)
    assert restored.has_new_audit_key
    assert {"certs/ca.key", "certs/server.key", "certs/audit.key"} <= set(restored.missing_keys)
    assert "no private key at certs/ca.key" in restored.warning
    assert_intact(place.target.audit_file, load_audit_key(place.target))
    assert "audit-key-changed" in map(action_of, read_log(place.target.audit_file))


def test_a_key_of_the_former_installation_that_is_another_one_is_not_taken(place: Place) -> None:
    place.back_up(passphrase=None)
    server_key = place.home.server_key.read_bytes()
    renew_server(place.home, ())
    restored = place.restore(has_log=False, is_forced=True, into=place.home)
    assert restored.missing_keys == ("certs/server.key",)
    assert restored.moved_aside is not None
    assert (restored.moved_aside / "certs/server.key").read_bytes() != server_key


def test_if_something_cannot_be_put_in_place_everything_is_as_before(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {one: one.read_bytes() for one in place.home.root.rglob("*") if one.is_file()}
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "state.db" and ".restoring" in str(self):
            raise OSError(28, "No space left on device", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    (place.home.root / "run").mkdir(exist_ok=True)
    with pytest.raises(OperatorError, match="cannot restore: .*: No space left on device; nothing was changed"):
        place.restore(has_log=False, is_forced=True, into=place.home)
    after = {one: one.read_bytes() for one in place.home.root.rglob("*") if one.is_file() and "run" not in one.parts}
    assert after == {path: content for path, content in before.items() if "run" not in path.parts}


def forge(home: Home, sequence: int, event: Event) -> None:
    """Append a line that anybody can make who can write to a copy of the log."""
    line, _ = seal(make_draft(make_event(event)), Head(sequence - 1, "0" * 64))
    with home.audit_file.open("ab") as file:
        file.write(line)


def test_a_forged_line_with_an_earlier_number_gives_nothing_back(place: Place) -> None:
    revoke_all(place.home, "bob")
    remove_user(place.home, "ed")
    place.sign()
    last = read_link(place.home.audit_file.read_bytes().splitlines()[-1]).head.sequence
    undone = f"an interrupted change was undone: {read_log(place.home.audit_file)[-2]['message']}"
    forge(place.home, last, ChangeUndone(message=undone))
    forge(place.home, last, UserChanged(message="x", name="alice", roles=("operator", "user"), is_mapped=True))
    restored = place.restore()
    assert (place.user("alice").user.roles, place.user("alice").is_mapped) == (("operator",), False)
    assert place.user("bob").certificates[0].revocation is not None
    assert place.taken("ed")
    assert restored.later is not None
    assert "does not follow the line before it" in restored.later.damage


def test_a_revocation_at_an_impossible_time_counts_from_the_beginning_of_the_certificate(place: Place) -> None:
    revocation = RevocationPart(revoked_at="0001-01-01T00:00:00.000000Z", reason=RevocationReason.KEY_COMPROMISE)
    with closing(open_store(place.home)) as state:
        (certificate,) = state.users.require("bob").certificates
    event = CertificateRevoked(message="x", revocation=revocation, target="bob", sha256=certificate.sha256.upper())
    last = read_link(place.home.audit_file.read_bytes().splitlines()[-1]).head.sequence
    forge(place.home, last + 1, event)
    restored = place.restore()
    assert restored.warning == ""
    found = place.user("bob").certificates[0].revocation
    assert found is not None
    assert found.revoked_at == certificate.not_before


def test_a_line_that_is_no_text_is_damage(place: Place) -> None:
    draft = make_draft(make_event(UserChanged(message="MARK", name="bob", roles=(), is_mapped=False)))
    bad = replace(draft, body=draft.body.replace(b"MARK", b"\xff"))
    head = read_link(place.home.audit_file.read_bytes().splitlines()[-1]).head
    line, _ = seal(bad, head)
    with place.home.audit_file.open("ab") as file:
        file.write(line)
    restored = place.restore()
    assert restored.later is not None
    assert restored.later.damage != ""
    for home in (place.home, place.target):
        shutil.rmtree(home.audit_file.parent)


def test_a_log_whose_last_line_is_garbage_is_not_continued(place: Place) -> None:
    with place.home.audit_file.open("ab") as file:
        file.write(b"garbage\n")
    place.home.audit_file.with_suffix(".seal").unlink()
    with pytest.raises(
        OperatorError, match="the log cannot be continued: it is not a line of the audit log; mend it"
    ):
        place.restore()
    shutil.rmtree(place.home.audit_file.parent)


def test_a_certificate_that_was_issued_and_revoked_after_the_backup_is_on_the_new_crl(place: Place) -> None:
    add(place.home, "carol")
    with closing(open_store(place.home)) as state:
        (issued,) = state.users.require("carol").certificates
    revoke_all(place.home, "carol", RevocationReason.KEY_COMPROMISE)
    restored = place.restore()
    crl = x509.load_pem_x509_crl(crl_file(place.target, load_issuer(place.target).certificate).read_bytes())
    assert [f"{one.serial_number:X}" for one in crl] == [issued.serial_number]
    assert restored.applied.unknown == 0
    with closing(open_store(place.target)) as state:
        assert state.certificates.is_compromised(issued.spki_sha256)


def test_a_revocation_that_only_the_log_knows_is_counted(place: Place) -> None:
    revocation = RevocationPart(revoked_at="2026-01-01T00:00:00.000000Z", reason=RevocationReason.UNSPECIFIED)
    event = CertificateRevoked(message="x", revocation=revocation, target="zoe", sha256="AB" * 32)
    with closing(AuditLog(place.home.audit_file, load_audit_key(place.home))) as log:
        log.append([make_event(event)])
    assert place.restore().applied.unknown == 1


def test_a_forged_certificate_that_takes_the_place_of_another_one_changes_nothing(place: Place) -> None:
    with closing(open_store(place.home)) as state:
        (bobs,) = state.users.require("bob").certificates
    facts = describe(x509.load_pem_x509_certificate(user_files(place.home, "bob").certificate.read_bytes()))
    issued = CertificateIssued(
        message="x",
        target=TargetPart(name="zoe"),
        certificate=who.certificate(replace(facts, sha256="ab" * 32)),
        issuer_sha256=bobs.issuer_sha256,
        spki_sha256=bobs.spki_sha256,
    )
    revocation = RevocationPart(revoked_at="2026-01-01T00:00:00.000000Z", reason=RevocationReason.KEY_COMPROMISE)
    head = read_link(place.home.audit_file.read_bytes().splitlines()[-1]).head
    for event in (issued, CertificateRevoked(message="x", revocation=revocation, target="zoe", sha256="AB" * 32)):
        line, head = seal(make_draft(make_event(event)), head)
        with place.home.audit_file.open("ab") as file:
            file.write(line)
    restored = place.restore()
    assert restored.applied.unknown == 1
    assert place.user("bob").certificates == (bobs,)


def test_a_user_whose_renaming_is_left_out_is_still_removed_by_the_new_name(place: Place) -> None:
    rename_user(place.home, "bob", "robert")
    rename_user(place.home, "robert", "bert")
    change_user(place.home, "bert", ("operator",), is_mapped=False)
    remove_user(place.home, "bert")
    cut_after(place.home, "user-removed")
    place.restore()
    with closing(open_store(place.target)) as state:
        assert state.users.names() == ["alice", "ed"]
        assert all(one.revocation is not None for one in state.certificates.of_user("bob"))


def test_a_newer_audit_key_of_the_former_installation_is_kept(place: Place) -> None:
    change_audit_key(place.home)
    revoke_all(place.home, "ed", HOLD)
    restore(place.home, RevocationTarget(("ed",)), by_operator())
    newer = load_audit_key(place.home).id
    restored = place.restore(has_log=False, is_forced=True, into=place.home)
    assert load_audit_key(place.home).id == newer
    assert restored.applied.left_out == 0
    assert_intact(place.home.audit_file, load_audit_key(place.home))


def test_a_newer_audit_key_that_is_not_at_hand_is_named(place: Place) -> None:
    change_audit_key(place.home)
    restored = place.restore()
    assert restored.applied.again == [
        f"the audit log is signed with a new key from now on: {load_audit_key(place.home).id}"
    ]


def test_a_log_with_a_gap_still_takes_away(place: Place) -> None:
    key = load_audit_key(place.home)
    with closing(AuditLog(place.home.audit_file, key, AuditSettings(rotate_bytes=1000))) as log:
        log.append([make_event(UserChanged(message="x", name="bob", roles=("user",), is_mapped=False))])
    (rotated,) = place.home.audit_file.parent.glob("audit-*.jsonl")
    revoke_all(place.home, "bob")
    change_user(place.home, "ed", ("operator",), is_mapped=False)
    rotated.unlink()
    restored = place.restore()
    assert restored.later is not None
    assert " before it are missing" in restored.later.damage
    assert place.user("bob").certificates[0].revocation is not None
    assert place.user("ed").user.roles == ()


def test_a_log_whose_current_file_was_moved_away_is_continued_in_its_last_one(place: Place) -> None:
    revoke_all(place.home, "bob")
    place.sign()
    compress(place.home.audit_file.rename(place.home.audit_file.with_name("audit-000000000001.jsonl")))
    place.home.audit_file.with_suffix(".seal").unlink()
    place.restore()
    assert place.user("bob").certificates[0].revocation is not None
    assert_intact(place.target.audit_file, load_audit_key(place.target))


def test_the_log_of_the_former_installation_is_not_left_out_silently(place: Place) -> None:
    lines = place.home.audit_file.read_bytes().splitlines(keepends=True)
    place.home.audit_file.write_bytes(b"".join(lines[:3]))
    with pytest.raises(OperatorError, match="cannot be used: .*; to restore without it: --without-log"):
        place.restore(has_log=False, is_forced=True, into=place.home)
    restored = place.restore(has_log=False, is_forced=True, into=place.home, is_without_log=True)
    assert restored.later is None


def test_crls_of_other_cas_recordings_and_shipping_stay_those_of_the_former_installation(place: Place) -> None:
    place.home.recordings_folder.mkdir()
    place.home.shipping_folder.mkdir()
    (place.home.crl_folder / "company.pem").write_bytes(place.home.audit_public_keys.read_bytes())
    place.back_up()
    newer = place.home.ca_certificate.read_bytes()
    (place.home.crl_folder / "company.pem").write_bytes(newer)
    (place.home.recordings_folder / "x.cast").write_text("x")
    (place.home.shipping_folder / "collector").write_text("7")
    place.home.config_file.write_text("# mine\n")
    restored = place.restore(has_log=False, is_forced=True, into=place.home)
    assert (restored.old_crls, restored.has_other_configuration) == ((), True)
    assert (place.home.crl_folder / "company.pem").read_bytes() == newer
    assert (place.home.recordings_folder / "x.cast").read_text() == "x"
    assert (place.home.shipping_folder / "collector").read_text() == "7"
    elsewhere = place.restore()
    assert elsewhere.old_crls == ("company.pem",)


def test_a_backup_of_another_installation_is_refused_where_there_is_one(place: Place, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    initialise(other, ())
    with pytest.raises(OperatorError, match="was not signed by the audit key of .*/other/certs/audit.pem"):
        place.restore(has_log=False, is_forced=True, into=other)


def test_an_interrupted_restore_stops_every_verb_and_is_undone_by_the_next_one(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    revoke_all(place.home, "bob")
    rename = Path.rename
    moved: list[Path] = []

    class PowerCut(BaseException):
        pass

    def stop_after_three(self: Path, target: Path) -> Path:
        if self.parent in {place.home.root, place.home.restoring_folder} and len(moved) == 3:
            raise PowerCut
        moved.append(self)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop_after_three)
        patch.setattr(placing, "_move_back", lambda *_: None)
        with pytest.raises(PowerCut):
            place.restore(has_log=False, is_forced=True, into=place.home)
    assert not place.home.state_file.exists()
    with pytest.raises(OperatorError, match="was interrupted; run it again: telnetsd restore --force FILE"):
        require_whole(place.home)
    place.restore(has_log=False, is_forced=True, into=place.home)
    require_whole(place.home)
    with closing(open_store(place.home)) as state:
        assert state.users.require("bob").certificates[0].revocation is not None


def test_two_restores_within_a_second_keep_both_former_installations(place: Place) -> None:
    first = place.restore(has_log=False, is_forced=True, into=place.home).moved_aside
    second = place.restore(has_log=False, is_forced=True, into=place.home).moved_aside
    assert first is not None
    assert second is not None
    assert first != second
    assert all((folder / "state.db").exists() for folder in (first, second))


def test_a_change_waits_for_a_restore_and_is_made_to_what_was_restored(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[Thread] = []
    put = placing.put_in_place

    def put_while_another_waits(home: Home, staged: Home) -> Path | None:
        changes.append(Thread(target=revoke_all, args=(place.home, "bob")))
        changes[0].start()
        wait_until(lambda: is_waited_for(home.change_lock), "another change that waits")
        return put(home, staged)

    monkeypatch.setattr(restoring, "put_in_place", put_while_another_waits)
    place.restore(has_log=False, is_forced=True, into=place.home)
    changes[0].join()
    with closing(open_store(place.home)) as state:
        assert state.users.require("bob").certificates[0].revocation is not None


def is_waited_for(path: Path) -> bool:
    """Tell whether a second descriptor of a file is open: a process waits for its lock by asking again and again."""
    return sum(one == str(path) for one in open_files(os.getpid())) > 1


def test_a_link_in_place_of_a_folder_is_refused(place: Place, tmp_path: Path) -> None:
    moved = place.home.audit_file.parent.rename(tmp_path / "disk")
    place.home.audit_file.parent.symlink_to(moved)
    with pytest.raises(OperatorError, match="audit is a link, which would be replaced"):
        place.restore(has_log=False, is_forced=True, into=place.home)


def test_a_user_name_that_is_a_path_is_refused(place: Place) -> None:
    with closing(open_store(place.home)) as state, state.transaction():
        state.users.add(User("../../x", ("user",)), now(), is_mapped=False)
    place.back_up()
    with pytest.raises(OperatorError, match="the backup has a user '../../x', which cannot be a user name"):
        place.restore()


def test_what_a_damaged_log_no_longer_has_is_said_to_be_lost(place: Place) -> None:
    revoke_all(place.home, "bob")
    lines = place.home.audit_file.read_bytes().splitlines(keepends=True)
    place.home.audit_file.write_bytes(b"".join(lines[:-2]))
    restored = place.restore()
    assert restored.later is not None
    assert "after it are missing, according to the seal" in restored.later.damage
    event = read_log(place.target.audit_file)
    (last,) = [one for one in event if action_of(one) == "installation-restored"]
    assert "; that log was damaged: audit.jsonl line " in last["message"]


def test_a_log_without_a_seal_is_said_to_prove_no_end(place: Place) -> None:
    revoke_all(place.home, "bob")
    cut_after(place.home, "installation-backed-up")
    restored = place.restore()
    assert restored.later is not None
    assert "nothing proves that it is the last line" in restored.later.damage
    report = assert_intact(place.target.audit_file, load_audit_key(place.target))
    assert len(report.restored) == len(report.damaged) == 1


def test_a_former_log_that_is_gone_is_not_taken_for_none(place: Place) -> None:
    shutil.rmtree(place.home.audit_file.parent)
    with pytest.raises(OperatorError, match="is gone; name a copy with --log DIR, or restore without it"):
        place.restore(has_log=False, is_forced=True, into=place.home)


def test_an_installation_without_its_certificates_is_restored(place: Place) -> None:
    shutil.rmtree(place.home.certs_folder)
    place.restore(has_log=False, is_forced=True, into=place.home)
    assert load_issuer(place.home)


@pytest.mark.parametrize("is_without_log", [True, False])
def test_recordings_stay_whatever_log_is_used(is_without_log: bool, place: Place) -> None:
    place.home.recordings_folder.mkdir()
    (place.home.recordings_folder / "x.cast").write_text("x")
    place.restore(has_log=not is_without_log, is_forced=True, into=place.home, is_without_log=is_without_log)
    assert (place.home.recordings_folder / "x.cast").exists()
    (last,) = [one for one in read_log(place.home.audit_file) if action_of(one) == "installation-restored"]
    assert last["message"].endswith("; the log that was there was set aside") is is_without_log


def test_what_could_not_be_moved_back_is_kept_for_the_next_restore(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    is_broken: list[bool] = []

    def break_after_the_state(self: Path, target: Path) -> Path:
        if is_broken:
            raise OSError(5, "Input/output error", str(self))
        if self.name == "state.db" and self.parent == place.home.root:
            is_broken.append(True)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", break_after_the_state)
        with pytest.raises(
            OperatorError, match="Input/output error; run it again: the next restore moves everything"
        ):
            place.restore(has_log=False, is_forced=True, into=place.home)
    assert not place.home.state_file.exists()
    place.restore(has_log=False, is_forced=True, into=place.home)
    require_whole(place.home)
    assert load_issuer(place.home)
