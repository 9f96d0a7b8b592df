"""Applying the changes of other nodes: what counts, what is passed over, and what stops a node."""

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.fleet import FLEET, NAMES, content, make_homes, pending
from support.homes import add
from support.server import action_of, get, read_events
from telnetsd.administration.authority.revocation import RevocationTarget, revoke
from telnetsd.administration.installation.applying import (
    FOUNDER_PREFIX,
    Outcome,
    Refusals,
    StoppedError,
    StreamMessage,
    apply_message,
    apply_notice,
)
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.installation.staging import Change
from telnetsd.administration.replication.message import LEVEL, ChangeBody, ChangeKind, encode_change, message_sha256
from telnetsd.administration.replication.node_key import load_node_key
from telnetsd.administration.replication.pending import PendingChange, list_pending
from telnetsd.events.reason import FleetStop, RevocationReason
from telnetsd.files.home import Home
from telnetsd.fleet.founding import write_parts
from telnetsd.pki.authority import utc_now
from telnetsd.state.fleet import KEYS_KEPT
from telnetsd.state.opening import open_store
from telnetsd.state.rows import RowChange

AT = "2026-12-01T00:00:00+00:00"


class Stream:
    """Three nodes, and the messages that they would find in the engine."""

    def __init__(self, homes: list[Home]) -> None:
        self.homes = homes
        self.messages: list[StreamMessage] = []

    @property
    def founder(self) -> Home:
        return self.homes[0]

    def put(self, node: str, _: int, data: bytes, kind: ChangeKind = ChangeKind.GIVE) -> StreamMessage:
        self.messages.append(StreamMessage(len(self.messages) + 1, kind.value, node, data))
        return self.messages[-1]

    def message(self, home: Home, *rows: RowChange, key_of: Home | None = None, **changes: Any) -> bytes:
        """Return a change that a node would make after the last one."""
        number = self.homes.index(home)
        body = ChangeBody(
            fleet=FLEET,
            id=f"{len(self.messages):032x}",
            node=NAMES[number],
            kind=ChangeKind.GIVE,
            by="root",
            at=AT,
            previous=message_sha256(self.messages[-1].data),
            rows=list(rows),
            events=["a test"],
        )
        return encode_change(msgspec.structs.replace(body, **changes), load_node_key(key_of or home))

    def make(self, home: Home, *rows: RowChange, **changes: Any) -> StreamMessage:
        kind = changes.get("kind", ChangeKind.GIVE)
        return self.put(NAMES[self.homes.index(home)], 0, self.message(home, *rows, **changes), kind)

    def apply_all(self, home: Home) -> list[Outcome]:
        return [apply_message(home, one, Refusals()) for one in self.messages]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Stream:
    """A fleet whose founder has bob, and whose first state is in the stream."""
    homes = make_homes(tmp_path_factory.mktemp("fleet"))
    add(homes[0], "bob")
    stream = Stream(homes)
    write_parts(homes[0], stream.put)
    for home in homes[1:]:
        stream.apply_all(home)
    return stream


@pytest.fixture
def stream(made: Stream, tmp_path: Path) -> Stream:
    homes = [Home(tmp_path / home.root.name) for home in made.homes]
    for old, new in zip(made.homes, homes, strict=True):
        shutil.copytree(old.root, new.root)
    copied = Stream(homes)
    copied.messages = list(made.messages)
    return copied


def user(name: str) -> RowChange:
    return RowChange("put", "users", {"name": name}, {"added_at": AT, "is_mapped": 0})


def has(home: Home, name: str) -> bool:
    with closing(open_store(home)) as state:
        return state.users.has(name)


def refusals(home: Home) -> list[str]:
    return [get(one, "event.reason") for one in read_events(home) if action_of(one) == "fleet-change-refused"]


def number_of_64_bits() -> RowChange:
    """Return a change that the constructor refuses."""
    row = RowChange("set", "requests", {"id": "x"}, {"code_failures": 1})
    row.values["code_failures"] = 2**64 - 1
    return row


def certificate_of(home: Home, name: str = "bob") -> str:
    with closing(open_store(home)) as state:
        return state.users.require(name).certificates[0].sha256


def hold(home: Home) -> RowChange:
    values = {"revoked_at": AT, "revocation_reason": "certificateHold"}
    return RowChange("set", "certificates", {"sha256": certificate_of(home)}, values)


def test_the_first_state_of_the_founder_is_the_state_of_every_node_with_the_files_of_the_ca(stream: Stream) -> None:
    founder, second, edge = stream.homes
    assert content(founder) == content(second) == content(edge)
    assert has(edge, "bob")
    assert edge.ca_certificate.read_bytes() == founder.ca_certificate.read_bytes()
    assert [path.name for path in edge.crl_folder.iterdir()] == [path.name for path in founder.crl_folder.iterdir()]
    assert not edge.ca_key.exists()


def test_a_change_is_applied_once_with_an_event_and_the_author_has_none(stream: Stream) -> None:
    founder, second, edge = stream.homes
    stream.make(second, user("eve"))
    assert stream.apply_all(edge)[-1] is Outcome.APPLIED
    assert stream.apply_all(edge)[-1] is Outcome.KNOWN
    told = [one for one in read_events(edge) if get(one, "telnetsd.fleet.node") == "hq-2"]
    assert [action_of(one) for one in told] == ["fleet-change-applied"]
    assert told[0]["message"] == "a test (by root on hq-2)"
    stream.apply_all(founder)
    assert content(founder) == content(edge)


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "the signature of another node": ("bad-signature", {"key_of": 2}),
    "no signature": ("bad-signature", {"data": b"\0" * 200}),
    "nothing": ("bad-signature", {"data": b""}),
    "a node that there is not": ("unknown-node", {"node": "site-9"}),
    "the name of another node": ("bad-signature", {"node": "edge"}),
    "another kind than its subject": ("not-allowed", {"kind": ChangeKind.TAKE}),
    "another fleet": ("not-allowed", {"fleet": "globex"}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_message_that_is_not_what_it_claims_is_passed_over_by_every_node_alike(stream: Stream, what: str) -> None:
    reason, changes = REFUSED[what]
    _, second, edge = stream.homes
    key_of = stream.homes[changes["key_of"]] if "key_of" in changes else None
    data = stream.message(second, user("eve"), key_of=key_of, fleet=changes.get("fleet", FLEET))
    kind = changes.get("kind", ChangeKind.GIVE)
    stream.put(changes.get("node", "hq-2"), 0, changes.get("data", data), kind)
    for home in stream.homes:
        assert stream.apply_all(home)[-1] is Outcome.REFUSED
        assert refusals(home) == [reason]
        assert not has(home, "eve")
    stream.make(second, user("frank"))
    assert [stream.apply_all(home)[-1] for home in stream.homes] == [Outcome.APPLIED] * 3
    assert content(second) == content(edge)


def test_a_node_that_may_only_take_away_can_neither_add_a_user_nor_stop_the_others(stream: Stream) -> None:
    founder, _, edge = stream.homes
    stream.make(edge, user("eve"))
    stream.make(edge, user("eve"), kind=ChangeKind.TAKE)
    stream.make(edge, previous="0" * 64, kind=ChangeKind.TAKE)
    stream.make(edge, level=LEVEL + 1, kind=ChangeKind.TAKE)
    stream.make(edge, RowChange("put", "requests", {"id": "x"}, {"status": "pending"}), kind=ChangeKind.REQUEST)
    stream.make(edge, RowChange("set", "requests", {"id": "x"}, {"no_such_column": 1}), kind=ChangeKind.REQUEST)
    stream.make(edge, RowChange("cut", "no_such_table", {"id": "x"}), kind=ChangeKind.REQUEST)
    stream.make(edge, number_of_64_bits(), kind=ChangeKind.REQUEST)
    stream.make(edge, hold(edge), kind=ChangeKind.TAKE, at="tomorrow")
    stream.make(edge, hold(edge), kind=ChangeKind.TAKE)
    for home in stream.homes:
        assert set(stream.apply_all(home)[1:-1]) == {Outcome.REFUSED}
        assert not has(home, "eve")
        assert len(refusals(home)) == len(stream.messages) - 2
    assert content(founder) == content(edge)


def test_what_a_node_that_may_make_every_change_signed_after_another_history_stops_the_others(stream: Stream) -> None:
    stream.make(stream.homes[1], user("eve"), previous="0" * 64)
    with pytest.raises(StoppedError, match="follows another change") as stopped:
        stream.apply_all(stream.founder)
    assert stopped.value.reason is FleetStop.OTHER_HISTORY
    assert not has(stream.founder, "eve")


@pytest.mark.parametrize(
    ("changes", "rows", "reason"),
    [
        ({"level": LEVEL + 1}, [], FleetStop.LEVEL),
        ({}, [RowChange("put", "users", {"name": "x"}, {"is_admin": 1})], FleetStop.UNREADABLE),
        ({}, [RowChange("put", "user_roles", {"user_name": "nobody", "role": "user"})], FleetStop.UNREADABLE),
    ],
    ids=["level", "unknown column", "contradiction"],
)
def test_what_such_a_node_signed_and_cannot_be_applied_stops_the_others(
    stream: Stream, changes: dict[str, object], rows: list[RowChange], reason: FleetStop
) -> None:
    before = content(stream.founder)
    stream.make(stream.homes[1], *rows, **changes)
    with pytest.raises(StoppedError) as stopped:
        stream.apply_all(stream.founder)
    assert stopped.value.reason is reason
    assert content(stream.founder) == before


def test_a_number_that_no_database_has_counts_for_no_node(stream: Stream) -> None:
    stream.make(stream.homes[1], number_of_64_bits())
    assert [stream.apply_all(home)[-1] for home in stream.homes] == [Outcome.REFUSED] * 3


def test_a_gap_in_the_stream_stops_a_node(stream: Stream) -> None:
    message = stream.make(stream.homes[1], user("eve"))
    with pytest.raises(StoppedError, match="after change 1 comes 3"):
        apply_message(stream.founder, replace(message, position=3), Refusals())


def test_a_stream_that_begins_in_another_way_than_the_invitation_said_is_not_followed(
    stream: Stream, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Stream(make_homes(tmp_path / "other"))
    write_parts(other.founder, other.put)
    edge = stream.homes[2]
    with closing(open_store(edge)) as state, state.transaction():
        state.replication.clear()
        first = message_sha256(stream.messages[0].data)
        state.fleet.join(replace(state.fleet.require_membership(), sequence=0, first_sha256=first))
    with pytest.raises(StoppedError, match="the first change in the stream is not that of this fleet"):
        other.apply_all(edge)
    with closing(open_store(edge)) as state, state.transaction():
        certificate = FOUNDER_PREFIX + "0" * 64
        state.fleet.join(replace(state.fleet.require_membership(), first_sha256=certificate))
    with pytest.raises(StoppedError, match="not the one that the invitation named"):
        stream.apply_all(edge)
    with closing(open_store(edge)) as state, state.transaction():
        state.fleet.join(replace(state.fleet.require_membership(), first_sha256=first))
    assert stream.apply_all(edge) == [Outcome.APPLIED]


ID = "a" * 32


def test_no_node_can_speak_of_the_change_of_another_one_and_cancel_it(stream: Stream) -> None:
    """An edge that hears the id of a revocation puts an empty change of that id into the stream."""
    _, second, edge = stream.homes
    notice = stream.message(second, hold(second), kind=ChangeKind.TAKE, previous="", id=ID)
    assert apply_notice(stream.founder, "hq-2", notice, Refusals()) is Outcome.APPLIED
    for kind in (ChangeKind.TAKE, ChangeKind.REQUEST):
        stream.make(edge, kind=kind, id=ID)
    stream.apply_all(stream.founder)
    assert pending(stream.founder) == 1
    with closing(open_store(stream.founder)) as state:
        found = state.users.require("bob").certificates[0].revocation
        assert found is not None
    with closing(open_store(edge)) as state:
        assert not state.fleet.was_applied(f"hq-2.{ID}")


def test_the_id_of_a_change_names_no_folder(stream: Stream) -> None:
    """A change of another node never touches what is staged here, even under its own id."""
    with closing(open_store(stream.founder)) as state:
        undecided = Change(stream.founder, state, {}, ID)
        undecided.write_public(stream.founder.trust_folder / "new.pem", b"a CA")
        undecided.stage(after=1000)
    stream.make(stream.homes[2], kind=ChangeKind.TAKE, id=ID)
    stream.apply_all(stream.founder)
    assert undecided.folder.exists()
    assert not (stream.founder.trust_folder / "new.pem").exists()


def test_a_hold_that_was_only_told_lasts_until_somebody_decides_otherwise(stream: Stream) -> None:
    founder, _, edge = stream.homes
    notice = stream.message(edge, hold(edge), kind=ChangeKind.TAKE, previous="", id=ID)
    assert apply_notice(founder, "edge", notice, Refusals()) is Outcome.APPLIED
    lifted = {"revoked_at": None, "revocation_reason": None}
    sha256 = certificate_of(founder)
    stream.make(stream.homes[1], RowChange("set", "certificates", {"sha256": sha256}, lifted))
    stream.apply_all(founder)
    assert pending(founder) == 0
    with closing(open_store(founder)) as state:
        assert state.users.require("bob").certificates[0].revocation is None


def test_a_hold_that_was_only_told_ends_with_the_membership_of_its_node(stream: Stream) -> None:
    founder, second, edge = stream.homes
    notice = stream.message(edge, hold(edge), kind=ChangeKind.TAKE, previous="", id=ID)
    apply_notice(founder, "edge", notice, Refusals())
    stream.make(second, RowChange("set", "fleet_nodes", {"name": "edge"}, {"revoked_at": AT}), kind=ChangeKind.TAKE)
    stream.apply_all(founder)
    assert pending(founder) == 0
    with closing(open_store(founder)) as state:
        assert state.users.require("bob").certificates[0].revocation is None
    assert apply_notice(founder, "edge", notice, Refusals()) is Outcome.REFUSED


def test_a_notice_of_long_ago_counts_no_longer(stream: Stream) -> None:
    founder, second, _ = stream.homes
    notice = stream.message(second, hold(second), kind=ChangeKind.TAKE, previous="", id=ID, after=1)
    with closing(open_store(founder)) as state, state.transaction():
        state.fleet.advance(KEYS_KEPT + 1, "0" * 64)
    assert apply_notice(founder, "hq-2", notice, Refusals()) is Outcome.KNOWN
    assert pending(founder) == 0


def test_a_change_of_ours_that_nobody_accepts_is_not_sent_again(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = stream.homes[2]
    monkeypatch.setattr("telnetsd.administration.installation.turn.TakeTurn.spread", lambda *_: None)
    revoke(edge, RevocationTarget(("bob",)), RevocationReason.KEY_COMPROMISE, by_operator())
    (mine,) = _pending(edge)
    denied = RowChange("cut", "requests", {"id": "x"})
    stream.make(edge, denied, kind=ChangeKind.TAKE, id=mine.id)
    assert stream.apply_all(edge)[-1] is Outcome.REFUSED
    assert not _pending(edge)
    assert refusals(edge) == ["not-allowed"]


def test_a_genuine_change_that_somebody_puts_into_the_stream_again_is_passed_over(stream: Stream) -> None:
    stream.make(stream.homes[1], user("eve"))
    stream.put("hq-2", 0, stream.messages[-1].data)
    for home in stream.homes:
        assert stream.apply_all(home)[-1] is Outcome.REFUSED
        assert refusals(home) == ["other-history"]


def test_any_number_of_refusals_of_a_node_is_one_event_in_a_minute(stream: Stream) -> None:
    edge, told = stream.homes[2], Refusals()
    for _ in range(50):
        stream.make(edge, user("eve"))
    for message in stream.messages:
        apply_message(stream.founder, message, told)
    assert refusals(stream.founder) == ["not-allowed"]
    assert told.take_count("edge") == 49


def test_a_notice_counts_at_once_and_stays_on_top_of_the_stream_until_that_has_it(stream: Stream) -> None:
    founder, second, edge = stream.homes
    notice = stream.message(second, hold(second), kind=ChangeKind.TAKE, previous="", id="a" * 32)
    assert apply_notice(edge, "hq-2", notice, Refusals()) is Outcome.APPLIED
    assert apply_notice(edge, "hq-2", notice, Refusals()) is Outcome.KNOWN
    assert pending(edge) == 1
    stream.make(second, user("eve"))
    stream.apply_all(edge)
    assert (pending(edge), has(edge, "eve")) == (1, True)
    stream.make(second, hold(second), kind=ChangeKind.TAKE, id="a" * 32)
    for home in (founder, edge):
        stream.apply_all(home)
    assert pending(edge) == 0
    assert content(founder) == content(edge)
    assert apply_notice(edge, "hq-2", notice, Refusals()) is Outcome.KNOWN
    assert [get(one, "event.reason") for one in read_events(edge) if get(one, "telnetsd.fleet.node") == "hq-2"] == [
        "urgent",
        "in-stream",
    ]


@pytest.mark.parametrize(
    ("node", "changes", "reason"),
    [
        ("hq-2", {"kind": ChangeKind.GIVE}, "not-allowed"),
        ("hq-1", {}, "bad-signature"),
        ("site-9", {}, "unknown-node"),
        ("hq-2", {"fleet": "globex"}, "not-allowed"),
    ],
)
def test_a_notice_that_takes_nothing_away_or_is_of_nobody_is_refused(
    stream: Stream, node: str, changes: dict[str, Any], reason: str
) -> None:
    _, second, edge = stream.homes
    notice = stream.message(second, hold(second), **{"kind": ChangeKind.TAKE, "previous": "", **changes})
    assert apply_notice(edge, node, notice, Refusals()) is Outcome.REFUSED
    assert refusals(edge) == [reason]
    assert pending(edge) == 0


def test_what_was_revoked_here_is_revoked_again_on_top_of_what_others_did_meanwhile(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    founder, second, _ = stream.homes
    monkeypatch.setattr("telnetsd.administration.installation.turn.TakeTurn.spread", lambda *_: None)
    target = RevocationTarget(("bob",))
    revoke(second, target, RevocationReason.KEY_COMPROMISE, by_operator())
    (mine,) = _pending(second)
    assert [row.table for row in mine.rows] == ["certificates"]
    sha256 = certificate_of(second)
    stream.make(founder, RowChange("set", "certificates", {"sha256": sha256}, {"is_renewed": 1}))
    stream.apply_all(second)
    with closing(open_store(second)) as state:
        found = state.certificates.find(sha256)
        assert found is not None
        assert found.is_renewed
        assert found.revocation is not None
        assert found.revocation.reason is RevocationReason.KEY_COMPROMISE
    (mine,) = _pending(second)
    stream.make(second, *mine.rows, kind=ChangeKind.TAKE, id=mine.id)
    for home in stream.homes:
        stream.apply_all(home)
    assert not _pending(second)
    assert content(founder) == content(second)


def _pending(home: Home) -> list[PendingChange]:
    with closing(open_store(home)) as state:
        return list_pending(state)


def test_a_user_who_was_renamed_meanwhile_is_removed_all_the_same_with_what_was_issued_since(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telnetsd.administration.users.users import remove_user

    founder, second, _ = stream.homes
    monkeypatch.setattr("telnetsd.administration.installation.turn.TakeTurn.spread", lambda *_: None)
    remove_user(second, "bob")
    captured: list[RowChange] = []
    with closing(open_store(founder)) as state, state.transaction(), state.replication.capturing() as rows:
        state.users.rename("bob", "robert")
        state.pins.add("5" * 64, "robert", utc_now())
    captured = rows.rows
    with closing(open_store(founder)) as state, state.transaction():
        state.replication.apply(rows.undo)
    stream.make(founder, *captured)
    stream.apply_all(second)
    with closing(open_store(second)) as state:
        assert state.users.names() == []
        pin = state.pins.find("5" * 64)
        assert pin is not None
        assert pin.revocation is not None
