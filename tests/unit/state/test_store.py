"""The operator's state: users, issued certificates, revocations, and requests."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from support.certificates import now
from telnetsd.errors import OperatorError, StoreConflictError, StoreError
from telnetsd.events.reason import RevocationReason
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.revocation import Revocation
from telnetsd.state.opening import open_store
from telnetsd.state.records import EnrolmentRequest, IssuedCertificate, RequestKind, RequestStatus
from telnetsd.state.sqlite.store import SqliteStore

NOW = now()
ALICE = User("alice", ("operator", "user"))


def certificate(sha256: str = "c", serial: str = "1F", user: str = "alice") -> IssuedCertificate:
    return IssuedCertificate(
        sha256=sha256,
        user_name=user,
        issuer_sha256="i",
        spki_sha256="s",
        serial_number=serial,
        public_key="EC 256",
        not_before=NOW,
        not_after=NOW + timedelta(days=1),
    )


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "state.db")) as opened:
        yield opened


@pytest.fixture
def with_alice(state: SqliteStore) -> SqliteStore:
    with state.transaction():
        state.users.add(ALICE, now(), is_mapped=False)
        state.certificates.add(certificate(), b"der")
    return state


def test_a_user_is_found_by_issuer_serial_number_and_key_together(
    with_alice: SqliteStore,
) -> None:
    assert with_alice.user_of("i", "1F", "s") == ALICE
    for other in (("j", "1F", "s"), ("i", "2F", "s"), ("i", "1F", "t")):
        assert with_alice.user_of(*other) is None
    found = with_alice.users.find("alice")
    assert found is not None
    assert found.certificates == (certificate(),)
    assert with_alice.users.find("bob") is None
    assert [one.user.name for one in with_alice.users.every()] == ["alice"]
    assert with_alice.certificates.der_of("c") == b"der"


def test_a_revoked_certificate_names_no_user_and_one_restored_from_hold_names_its_user_again(
    with_alice: SqliteStore,
) -> None:
    hold = Revocation(now(), RevocationReason.CERTIFICATE_HOLD)
    with with_alice.transaction():
        with_alice.certificates.revoke("c", hold)
    assert with_alice.user_of("i", "1F", "s") is None
    assert with_alice.revocation_of("i", "1F") == hold
    assert [one.sha256 for one in with_alice.certificates.revoked_by("i", now())] == ["c"]
    assert with_alice.certificates.revoked_by("i", now() + timedelta(days=2)) == []
    with with_alice.transaction():
        with_alice.certificates.revoke("c", None)
    assert with_alice.user_of("i", "1F", "s") == ALICE


def test_the_certificates_of_a_removed_user_stay_for_the_crl(with_alice: SqliteStore) -> None:
    with with_alice.transaction():
        with_alice.users.remove("alice")
    assert with_alice.user_of("i", "1F", "s") is None
    assert with_alice.certificates.find("c") == certificate()


def test_the_newest_certificate_comes_first_even_within_one_second(with_alice: SqliteStore) -> None:
    for serial in ("2F", "0F", "3F"):
        with with_alice.transaction():
            with_alice.certificates.add(certificate(serial.lower(), serial), b"")
    assert [one.serial_number for one in with_alice.certificates.of_user("alice")] == ["3F", "0F", "2F", "1F"]


def test_a_serial_number_is_issued_once_by_each_issuer(with_alice: SqliteStore) -> None:
    with pytest.raises(StoreConflictError):
        with_alice.certificates.add(certificate("d"), b"")


def test_a_pin_names_its_user_until_it_is_revoked(with_alice: SqliteStore) -> None:
    with with_alice.transaction():
        with_alice.pins.add("k", "alice", now())
    assert with_alice.pinned_user("k") == ALICE
    assert with_alice.pinned_user("l") is None
    revocation = Revocation(now(), RevocationReason.UNSPECIFIED)
    with with_alice.transaction():
        with_alice.pins.revoke("k", revocation)
    assert with_alice.pinned_user("k") is None
    assert with_alice.revocation_of_pin("k") == revocation


def test_only_a_user_who_was_added_as_mapped_is_named_by_mapping(with_alice: SqliteStore) -> None:
    assert with_alice.is_taken("alice")
    assert with_alice.mapped_user("alice") is None
    with with_alice.transaction():
        with_alice.users.change(User("alice", ("user",)), is_mapped=True)
    assert with_alice.mapped_user("alice") == User("alice", ("user",))


def test_crl_numbers_increase_for_each_issuer(state: SqliteStore) -> None:
    with state.transaction():
        assert [state.certificates.next_crl_number(one) for one in ("i", "i", "j", "i")] == [1, 2, 1, 3]


def test_a_request_can_be_found_counted_decided_and_removed(state: SqliteStore) -> None:
    request = EnrolmentRequest(
        id="r",
        kind=RequestKind.CSR,
        name="bob",
        subject="CN=bob",
        public_key="EC 256",
        spki_sha256="s",
        source="192.0.2.1",
        requested_at=now(),
        expires_at=now() + timedelta(1),
    )
    with state.transaction():
        state.requests.add(request, b"csr", "hash")
    assert state.requests.find("r") == request
    assert state.requests.of_key("s") == state.requests.every() == [request]
    assert state.requests.count_pending() == state.requests.count_pending_from("192.0.2.1") == 1
    assert state.requests.count_pending_from("x") == 0
    assert (state.requests.content_of("r"), state.requests.code_of("r")) == (b"csr", "hash")
    with state.transaction():
        state.requests.decide("r", RequestStatus.APPROVED, "robert", "c")
        state.requests.decide("r", RequestStatus.COLLECTED)
        state.requests.count_failure("r")
    found = state.requests.find("r")
    assert found is not None
    assert (found.status, found.user_name, found.certificate_sha256, found.code_failures) == (
        RequestStatus.COLLECTED,
        "robert",
        "c",
        1,
    )
    assert state.requests.expired(now()) == []
    assert state.requests.expired(now() + timedelta(2)) == [found]
    with state.transaction():
        state.requests.remove("r")
    assert state.requests.every() == []


def test_a_failed_transaction_leaves_nothing(state: SqliteStore) -> None:
    def add_and_fail() -> None:
        with state.transaction():
            state.users.add(ALICE, now(), is_mapped=False)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_and_fail()
    assert state.users.names() == []


def test_a_change_by_another_process_is_visible_at_once_and_changes_the_version(
    state: SqliteStore, tmp_path: Path
) -> None:
    version = state.version()
    assert state.version() == version
    with closing(SqliteStore(tmp_path / "state.db")) as other:
        before = state.version()
        with other.transaction():
            other.users.add(ALICE, now(), is_mapped=False)
    assert state.users.has("alice")
    assert state.version() != before


def test_a_reader_does_not_wait_for_a_writer(with_alice: SqliteStore, tmp_path: Path) -> None:
    with with_alice.transaction():
        with_alice.users.change(User("alice", ("user",)), is_mapped=True)
        with closing(SqliteStore(tmp_path / "state.db")) as reader:
            assert reader.user_of("i", "1F", "s") == ALICE


def test_a_database_of_the_first_version_is_upgraded(tmp_path: Path) -> None:
    from telnetsd.state.sqlite import schema

    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        database.executescript(schema._USERS)
        database.execute("INSERT INTO users VALUES ('alice', '2026-01-01T00:00:00+00:00')")
        database.execute("INSERT INTO user_roles VALUES ('alice', 'operator')")
        times = ("2026-01-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00")
        database.execute("INSERT INTO certificates VALUES ('c', 'alice', 'i', 's', '1F', 'EC 256', ?, ?)", times)
        times = ("2025-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00")
        database.execute("INSERT INTO certificates VALUES ('f', 'alice', 'i', 's', '0F', 'EC 256', ?, ?)", times)
        database.execute("PRAGMA user_version = 1")
    with closing(SqliteStore(tmp_path / "state.db")) as state:
        assert state.user_of("i", "1F", "s") == User("alice", ("operator",))
        assert state.certificates.der_of("c") is None
        found = state.users.find("alice")
        assert found is not None
        assert not found.is_mapped
        assert [one.sha256 for one in found.certificates] == ["c", "f"], "the newest first"
        assert not state.is_taken("nobody")


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(OperatorError, match="was written by a newer telnetsd"):
        SqliteStore(tmp_path / "state.db")


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("hello" * 1000)
    with pytest.raises(OperatorError, match=r"cannot open .*state\.db: file is not a database"):
        SqliteStore(tmp_path / "state.db")


def test_an_error_of_the_database_engine_is_raised_as_a_store_error(state: SqliteStore, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        database.execute("DROP TABLE pins")
    with pytest.raises(StoreError, match=r"state\.db: no such table: pins; try again, or restore a backup"):
        state.pins.find("0" * 64)


def test_a_missing_store_is_created_only_on_request(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(OperatorError, match="no state at .*is this the home folder"):
        open_store(home)
    assert not home.state_file.exists()
    with closing(open_store(home, create=True)) as store:
        assert store.users.names() == []
    with closing(open_store(home)) as store:
        assert store.requests.every() == []
