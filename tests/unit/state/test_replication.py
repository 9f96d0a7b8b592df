"""Rows that one node of a fleet changed, made in the database of another one."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.certificates import now
from telnetsd.errors import StoreConflictError
from telnetsd.events.reason import RevocationReason
from telnetsd.identity.outcome import User
from telnetsd.pki.revocation import Revocation
from telnetsd.state.fleet import EVERY_CAPABILITY, Capability, FleetNode, Invitation, Membership
from telnetsd.state.records import EnrolmentRequest, IssuedCertificate, RequestKind, RequestStatus
from telnetsd.state.rows import Captured, RowChange, RowError
from telnetsd.state.sqlite.store import SqliteStore

NOW = now()
NODE = FleetNode(
    name="hq-1", life=1, capabilities=EVERY_CAPABILITY, certificate=b"\x00der", engine_key="U", added_at=NOW
)


@contextmanager
def stores(folder: Path, *names: str) -> Iterator[list[SqliteStore]]:
    opened = [SqliteStore(folder / f"{name}.db") for name in names]
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


@contextmanager
def changed(state: SqliteStore) -> Iterator[Captured]:
    """Change a store in a transaction, and capture it."""
    with state.transaction(), state.replication.capturing() as captured:
        yield captured


def applied(state: SqliteStore, rows: list[RowChange]) -> None:
    with state.transaction():
        state.replication.apply(rows)


def content(state: SqliteStore) -> list[RowChange]:
    return sorted(state.replication.everything(), key=repr)


def certificate(sha256: str, user: str, serial: str) -> IssuedCertificate:
    return IssuedCertificate(
        sha256=sha256,
        user_name=user,
        issuer_sha256="i",
        spki_sha256=f"key-{sha256}",
        serial_number=serial,
        public_key="EC 256",
        not_before=NOW,
        not_after=NOW + timedelta(days=1),
    )


def request(number: int) -> EnrolmentRequest:
    return EnrolmentRequest(
        id=f"r{number}",
        kind=RequestKind.CSR,
        name="carol",
        subject="CN=carol",
        public_key="EC 256",
        spki_sha256=f"k{number}",
        source="192.0.2.7",
        requested_at=NOW,
        expires_at=NOW + timedelta(days=1),
    )


HOLD = Revocation(NOW, RevocationReason.CERTIFICATE_HOLD)
NAMES = ("alice", "bob", "carol")


def revoke(state: SqliteStore, number: int, name: str) -> None:
    for one in state.certificates.of_user(name):
        state.certificates.revoke(one.sha256, HOLD if number % 2 else None)


def ask(state: SqliteStore, number: int, _: str) -> None:
    state.requests.add(request(number), b"\x00csr", "code")
    state.requests.count_failure(f"r{number}")


OF_STRANGERS: dict[str, Callable[[SqliteStore, int, str], None]] = {
    "add": lambda state, _, name: state.users.add(User(name, ("user", "operator")), NOW, is_mapped=False),
}
OF_USERS: dict[str, Callable[[SqliteStore, int, str], None]] = {
    "change": lambda state, n, name: state.users.change(User(name, (f"role-{n}",)), is_mapped=bool(n % 2)),
    "rename": lambda state, n, name: state.users.rename(name, f"{name}-{n}"),
    "remove": lambda state, _, name: state.users.remove(name),
}
OF_ANYBODY: dict[str, Callable[[SqliteStore, int, str], None]] = {
    "issue": lambda state, n, name: state.certificates.add(certificate(f"c{n}", name, f"{n:X}"), b"\xff\x00der"),
    "revoke": revoke,
    "pin": lambda state, _, name: state.pins.add(f"p{name}", name, NOW),
    "request": ask,
    "decide": lambda state, n, name: state.requests.decide(f"r{n - 1}", RequestStatus.APPROVED, name, "c"),
    "crl": lambda state, *_: state.certificates.raise_crl_number("i", state.certificates.next_crl_number("i") + 3),
}


def act(state: SqliteStore, number: int, what: str, name: str) -> None:
    """Do one of the things that operators do, if it can be done."""
    of_user = OF_USERS if state.users.has(name) and state.users.renamed_to(name) is None else OF_STRANGERS
    known = {**of_user, **OF_ANYBODY}
    if what in known and not (what == "add" and state.users.has(name)):
        known[what](state, number, name)


ACTS = st.tuples(st.sampled_from(["add", *OF_STRANGERS, *OF_USERS, *OF_ANYBODY]), st.sampled_from(NAMES))


@given(transactions=st.lists(st.lists(ACTS, max_size=6), max_size=6))
def test_another_database_becomes_alike_by_what_was_captured_and_as_before_by_its_undo(
    tmp_path_factory: pytest.TempPathFactory, transactions: list[list[tuple[str, str]]]
) -> None:
    with stores(tmp_path_factory.mktemp("rows"), "here", "there") as (here, there):
        number = 0
        for acts in transactions:
            before = content(here)
            with changed(here) as captured:
                for what, name in acts:
                    number += 1
                    act(here, number, what, name)
            applied(there, captured.rows)
            assert content(there) == content(here)
            applied(there, captured.undo)
            assert content(there) == before
            applied(there, captured.rows)


def test_a_change_of_one_column_leaves_what_another_node_wrote_to_the_others(tmp_path: Path) -> None:
    with stores(tmp_path, "here", "there") as (here, there):
        with changed(here) as captured:
            here.users.add(User("alice", ("user",)), NOW, is_mapped=False)
            here.certificates.add(certificate("c", "alice", "1"), b"der")
        applied(there, captured.rows)
        with changed(here) as revoked:
            here.certificates.revoke("c", HOLD)
        with changed(there) as renewed:
            there.certificates.mark_renewed("c")
        applied(there, revoked.rows)
        applied(here, renewed.rows)
        assert content(there) == content(here)
        found = there.certificates.find("c")
        assert found is not None
        assert (found.revocation, found.is_renewed) == (HOLD, True)


def test_what_a_change_leaves_as_it_was_is_not_captured(tmp_path: Path) -> None:
    with stores(tmp_path, "here") as (here,):
        with changed(here):
            here.users.add(User("alice", ("user",)), NOW, is_mapped=False)
        with changed(here) as captured:
            here.users.change(User("alice", ("user",)), is_mapped=False)
            here.note_change("local")
        assert [row.op for row in captured.rows] == ["cut", "put"]
        with changed(here) as captured:
            pass
        assert captured == Captured()


def test_everything_fills_empty_tables(tmp_path: Path) -> None:
    with stores(tmp_path, "here", "there") as (here, there):
        with here.transaction():
            for number, what in enumerate(("add", "issue", "pin", "request", "crl", "remove", "add")):
                act(here, number, what, "alice")
            here.fleet.keep_node(NODE)
        with there.transaction():
            there.users.add(User("mallory", ("operator",)), NOW, is_mapped=False)
            there.replication.clear()
        applied(there, here.replication.everything())
        assert content(there) == content(here)
        assert there.fleet.nodes() == [NODE]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (RowChange("put", "audit_head", {"id": 1}, {}), "the table 'audit_head', which this version does not have"),
        (RowChange("put", "fleet_membership", {"id": 1}, {}), "does not have"),
        (RowChange("put", "users; DROP TABLE users", {"name": "x"}, {}), "does not have"),
        (RowChange("cut", "users", {"1 = 1 OR name": "x"}), "the column '1 = 1 OR name' of users"),
        (RowChange("cut", "users", {}), "of users, which it does not have"),
        (RowChange("cut", "user_roles", {"role": "operator"}), "of user_roles"),
        (RowChange("set", "users", {"name": "x"}, {"is_admin": 1}), "the column 'is_admin' of users"),
        (RowChange("set", "users", {"name": "x"}, {}), "a change of users changes nothing"),
    ],
)
def test_a_row_of_an_unknown_table_or_column_is_refused(tmp_path: Path, row: RowChange, message: str) -> None:
    with stores(tmp_path, "here") as (here,):
        with pytest.raises(RowError, match=message.replace("(", "\\(")), here.transaction():
            here.replication.apply([row])
        assert content(here) == []


@pytest.mark.parametrize(
    "row",
    [
        RowChange("put", "user_roles", {"user_name": "nobody", "role": "operator"}),
        RowChange("put", "users", {"name": "x"}, {"added_at": None, "is_mapped": 0}),
        RowChange("put", "users", {"name": "x"}, {"added_at": "now", "is_mapped": "yes"}),
        RowChange("put", "users", {"name": "x"}, {}),
    ],
)
def test_a_row_that_contradicts_the_tables_is_refused_with_its_whole_change(tmp_path: Path, row: RowChange) -> None:
    good = RowChange("put", "users", {"name": "alice"}, {"added_at": "2026-12-01T00:00:00+00:00", "is_mapped": 0})
    with stores(tmp_path, "here") as (here,):
        with pytest.raises(StoreConflictError), here.transaction():
            here.replication.apply([good, row])
        assert content(here) == []


def test_nodes_invitations_and_our_place_are_kept(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "state.db")) as state:
        fleet = state.fleet
        assert (fleet.membership(), fleet.node("hq-1"), fleet.invitation("dr-1")) == (None, None, None)
        invitation = Invitation(
            node="dr-1",
            capabilities=(Capability.GIVE,),
            names=("dr-1.example", "192.0.2.9"),
            code_sha256="c",
            expires_at=NOW + timedelta(days=1),
        )
        with state.transaction():
            fleet.join(Membership(fleet="acme", node="hq-1", is_founding=True))
            fleet.keep_node(NODE)
            fleet.invite(invitation)
        assert fleet.membership() == Membership(fleet="acme", node="hq-1", is_founding=True)
        assert (fleet.node("hq-1"), fleet.invitation("dr-1")) == (NODE, invitation)
        with state.transaction():
            fleet.advance(7, "ab")
            fleet.use_invitation("dr-1")
        assert fleet.membership() == Membership(fleet="acme", node="hq-1", sequence=7, sha256="ab")
        assert fleet.invitation("dr-1") is None


def test_changes_that_are_not_in_the_stream_yet_are_kept_in_their_order(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "state.db")) as state:
        with state.transaction():
            state.replication.keep_pending("b", b"1")
            state.replication.keep_pending("a", b"2")
            state.replication.keep_pending("b", b"3")
        assert state.replication.pending() == [("b", b"3"), ("a", b"2")]
        with state.transaction():
            state.replication.forget_pending("b")
        assert state.replication.pending() == [("a", b"2")]


def test_what_changes_between_two_captures_is_in_neither(tmp_path: Path) -> None:
    with stores(tmp_path, "here") as (here,), here.transaction():
        with here.replication.capturing():
            here.users.add(User("alice", ("user",)), NOW, is_mapped=False)
        here.users.add(User("bob", ("user",)), NOW, is_mapped=False)
        with here.replication.capturing() as captured:
            here.users.remove("alice")
        assert [(row.op, row.table) for row in captured.rows if row.key.get("name") == "bob"] == []
        assert ("cut", "users") in {(row.op, row.table) for row in captured.rows}
