"""The operator's state: users, and to whom which key was issued."""

import sqlite3
from pathlib import Path

import pytest

from support.certificates import now
from telnetsd.errors import OperatorError
from telnetsd.identity.outcome import User
from telnetsd.state import IssuedCertificate, State


def certificate(sha256: str = "c", issuer: str = "i", spki: str = "s") -> IssuedCertificate:
    return IssuedCertificate(sha256, issuer, spki, "1F", "EC 256", now(), now())


def test_who_was_added_is_found_by_issuer_and_key_together(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db")
    with state.transaction():
        state.add_user(User("alice", ("user", "operator")), certificate(), now())
    assert state.user_of("i", "s") == User("alice", ("operator", "user"))
    assert state.user_of("i", "other") is None
    assert state.user_of("other", "s") is None
    found = state.find_user("alice")
    assert found is not None
    assert found.certificates == (certificate(),)
    assert state.find_user("bob") is None
    assert [one.user.name for one in state.list_users()] == ["alice"]
    state.close()


def test_what_fails_in_a_transaction_leaves_nothing(tmp_path: Path) -> None:
    state = State(tmp_path / "state.db")

    def add_and_fail() -> None:
        with state.transaction():
            state.add_user(User("alice", ("user",)), certificate(), now())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        add_and_fail()
    assert state.list_users() == []
    state.close()


def test_another_process_is_seen_at_once(tmp_path: Path) -> None:
    one, other = State(tmp_path / "state.db"), State(tmp_path / "state.db")
    assert one.user_of("i", "s") is None
    with other.transaction():
        other.add_user(User("alice", ("user",)), certificate(), now())
    assert one.user_of("i", "s") is not None
    one.close()
    other.close()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(OperatorError, match="was written by a newer telnetsd"):
        State(tmp_path / "state.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("hello" * 1000)
    with pytest.raises(OperatorError, match=r"cannot open .*state\.db: file is not a database"):
        State(tmp_path / "state.db")
