"""The index of the audit log: it finds what reading everything finds, whatever state it is in."""

import itertools
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.audit import KEY, read_log
from telnetsd.audit.chain import make_draft
from telnetsd.audit.index import blocks
from telnetsd.audit.index.blocks import Attachment
from telnetsd.audit.index.keeping import index_log, index_path, open_index
from telnetsd.audit.index.searching import LogSearch, prefilter
from telnetsd.audit.log import AuditLog
from telnetsd.audit.reading.archive import take_snapshot
from telnetsd.audit.reading.row import read_event
from telnetsd.audit.reading.selection import Selection, parse_network
from telnetsd.audit.retention import compress_rotated
from telnetsd.config.settings import AuditSettings
from telnetsd.events.fields import timestamp

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
USERS = ("alice", "bob", "carol")
LINES = ("switch-1", "switch-2", "pdu")
ATTACHING = ("line-connected", "line-connected", "line-disconnected", "session-ended")
TYPED = ("show version", 'say "hello"', "write erase", "straße grüßt", "K is Kelvin", "back\\slash", "x")


def logged(number: int, action: str, user: str, line: str | None, text: str) -> dict[str, Any]:
    session = f"0192f0c1-2345-7678-9abc-{number // 5:012x}"
    telnetsd: dict[str, Any] = {"session": {"id": session}}
    if line is not None:
        telnetsd["line"] = {"name": line, "command": text}
    is_denied = number % 7 == 0
    return {
        "@timestamp": timestamp(BEGIN + timedelta(minutes=number)),
        "event": {
            "action": action,
            "outcome": "failure" if is_denied else "success",
            "reason": "role-missing" if is_denied else "permitted",
        },
        "message": f"{user}: {text}",
        "user": {"name": user},
        "source": {"ip": f"192.0.2.{number % 9}"},
        "telnetsd": telnetsd,
    }


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 600 events in several files: sessions of five events, on a line from the second to the fourth."""
    path = tmp_path_factory.mktemp("indexed") / "log.jsonl"
    kinds = ("session-started", "line-connected", "line-command", "line-disconnected", "session-ended")
    with closing(AuditLog(path, KEY, AuditSettings(rotate_bytes=32768, rotate_age_s=0))) as writer:
        for number in range(600):
            kind, user = kinds[number % 5], USERS[number // 5 % 3]
            line = LINES[number // 5 % 3] if kind.startswith("line-") else None
            event = logged(number, kind, user, line, TYPED[number // 5 % len(TYPED)])
            writer.append_drafts([make_draft(event)])
    assert len(take_snapshot(path).parts) > 4
    return path


@pytest.fixture
def folder(log: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "index" / "log"
    index_log(take_snapshot(log), log, folder, lambda _: None)
    return folder


@pytest.fixture(autouse=True)
def blocks_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2000)


def found(log: Path, folder: Path, selection: Selection) -> list[bytes]:
    search = LogSearch(snapshot=take_snapshot(log), log=log, folder=folder, on_progress=lambda _: None)
    return list(search.lines(selection))


def every_line(log: Path) -> Iterator[bytes]:
    for part in take_snapshot(log).parts:
        yield from part.path.read_bytes().splitlines()


SELECTIONS = [
    Selection(user="bob"),
    Selection(session="00000000001f"),
    Selection(line="switch-*"),
    Selection(line="pdu", outcome="failure"),
    Selection(action="line-command", user="alice"),
    Selection(action="session-*", reason="role-*"),
    Selection(text="WRITE erase"),
    Selection(text='"hello"'),
    Selection(text="back\\s"),
    Selection(text="STRASSE"),
    Selection(text="k is kelvin"),
    Selection(text="x"),
    Selection(source=parse_network("192.0.2.4/31")),
    Selection(since=BEGIN + timedelta(hours=3), until=BEGIN + timedelta(hours=4)),
    Selection(until=BEGIN + timedelta(minutes=7), line="switch-1"),
    Selection(text="not there at all"),
    Selection(user="nobody"),
]


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_a_search_with_the_index_finds_what_reading_everything_finds(
    selection: Selection, log: Path, folder: Path
) -> None:
    expected = [line for line in every_line(log) if selection.takes(read_event(line))]
    assert found(log, folder, selection) == expected
    assert bool(expected) == (selection.user != "nobody" and "not there" not in selection.text)


@given(
    text=st.sampled_from(TYPED) | st.text(max_size=6),
    user=st.sampled_from(("", *USERS)),
    line=st.sampled_from(("", "*", "pdu", "switch-?")),
)
def test_no_line_that_is_selected_is_ruled_out_before_it_is_parsed(text: str, user: str, line: str) -> None:
    selection = Selection(text=text[1:-1], user=user, line=line)
    may_match = prefilter(selection)
    for number, (one, name) in enumerate(itertools.product((*TYPED, text), LINES)):
        draft = make_draft(logged(number, "line-command", USERS[number % 3], name, one))
        content = draft.head + draft.body + draft.tail + b"}}"
        assert may_match(content) or not selection.takes(read_event(content))


def test_a_search_reads_only_the_blocks_that_may_match(log: Path, folder: Path) -> None:
    parts = [part for part in take_snapshot(log).parts if part.path != log]
    ranges = {}
    for part in parts:
        index = open_index(folder, part)
        assert index is not None
        with closing(index):
            ranges[part.path] = index.find(Selection(session="00000000001f"))
            assert len(index.find(Selection())) > 5
            assert index.find(Selection(until=BEGIN - timedelta(days=9))) == []
            assert index.find(Selection(text="not there at all")) == []
    assert sum(map(len, ranges.values())) <= 2


@pytest.mark.parametrize("harm", ["removed", "empty", "not a database", "cut", "other version"])
def test_an_index_that_is_missing_or_damaged_is_not_used_and_is_rebuilt(harm: str, log: Path, folder: Path) -> None:
    selection = Selection(user="bob", line="switch-2")
    expected = found(log, folder, selection)
    assert expected
    for path in folder.glob("*.index"):
        content = path.read_bytes()
        if harm == "removed":
            path.unlink()
        elif harm == "other version":
            with closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA user_version = 99")
        else:
            path.write_bytes({"empty": b"", "not a database": b"x" * 5000}.get(harm, content[: len(content) // 2]))

    assert found(log, folder, selection) == expected
    rebuilt = index_log(take_snapshot(log), log, folder, lambda _: None)
    assert rebuilt == len(list(folder.glob("*.index"))) or harm == "cut"
    assert found(log, folder, selection) == expected


def test_an_index_of_a_file_that_was_changed_is_not_used(log: Path, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "log.jsonl"
    copy.parent.mkdir()
    for part in take_snapshot(log).parts:
        (copy.parent / part.path.name).write_bytes(part.path.read_bytes())
    index_log(take_snapshot(copy), copy, folder, lambda _: None)
    changed = sorted(copy.parent.glob("log-*"))[1]
    changed.write_bytes(changed.read_bytes().replace(b'"name":"bob"', b'"name":"eve"'))
    os.utime(changed, ns=(1, 1))

    assert found(copy, folder, Selection(user="eve"))
    assert index_log(take_snapshot(copy), copy, folder, lambda _: None) == 1
    assert found(copy, folder, Selection(user="eve"))


def test_an_index_stays_valid_when_its_file_is_compressed_and_leaves_with_it(
    log: Path, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy" / "log.jsonl"
    copy.parent.mkdir()
    for part in take_snapshot(log).parts:
        (copy.parent / part.path.name).write_bytes(part.path.read_bytes())
    index_log(take_snapshot(copy), copy, folder, lambda _: None)
    expected = found(copy, folder, Selection(user="bob"))

    compress_rotated(copy)

    assert index_log(take_snapshot(copy), copy, folder, lambda _: None) == 0
    assert found(copy, folder, Selection(user="bob")) == expected
    first = take_snapshot(copy).parts[0]
    assert index_path(folder, first).exists()
    first.path.unlink()
    index_log(take_snapshot(copy), copy, folder, lambda _: None)
    assert not index_path(folder, first).exists()
    index_log(take_snapshot(copy), copy, folder, lambda _: None, is_rebuilt=True)
    assert len(list(folder.glob("*.index"))) == len(take_snapshot(copy).parts) - 1
    shutil.rmtree(folder)
    folder.symlink_to(tmp_path)
    with pytest.raises(OSError, match="it is a symbolic link"):
        index_log(take_snapshot(copy), copy, folder, lambda _: None)
    assert list(folder.glob("*.index")) == []


@pytest.mark.parametrize("is_indexed", [True, False])
def test_attachments_that_begin_in_one_file_and_end_in_another_are_one(
    is_indexed: bool, log: Path, folder: Path
) -> None:
    if not is_indexed:
        shutil.rmtree(folder)
    search = LogSearch(snapshot=take_snapshot(log), log=log, folder=folder, on_progress=lambda _: None)
    attached = search.attachments()
    assert len(attached) == 120
    assert all(one.opened_at and one.closed_at for one in attached)
    assert {one.line for one in attached} == set(LINES)
    first = attached[0]
    assert (first.line, first.user) == ("switch-1", "alice")
    assert first.opened_at == timestamp(BEGIN + timedelta(minutes=1))
    assert first.closed_at == timestamp(BEGIN + timedelta(minutes=3))


@given(
    events=st.lists(
        st.tuples(st.sampled_from((0, 5)), st.sampled_from(ATTACHING), st.sampled_from(LINES)), max_size=9
    ),
    cuts=st.lists(st.integers(0, 9), max_size=2),
)
def test_attachments_are_the_same_however_the_log_is_cut_into_files(
    events: list[tuple[int, str, str]], cuts: list[int]
) -> None:
    whole, joined, ended, told = blocks.AttachmentTracker(), blocks.AttachmentTracker(), set[int](), []
    for at, (number, action, line) in enumerate(events):
        if number not in ended:
            event = logged(number, action, USERS[number // 5], line if action.startswith("line-") else None, "")
            told.append({**event, "@timestamp": timestamp(BEGIN + timedelta(minutes=at))})
            whole.note(told[-1])
        if action == "session-ended":
            ended.add(number)
    edges = [0, *sorted(cuts), len(told)]
    for begin, end in itertools.pairwise(edges):
        tracked = blocks.Tracked()
        for event in told[begin:end]:
            tracked.note(event)
        for one in tracked.attachments():
            joined.join(one)
    assert sorted(map(astuple, joined.every())) == sorted(map(astuple, whole.every()))


def test_a_session_that_ends_is_on_no_line_any_more() -> None:
    tracker = blocks.AttachmentTracker()
    for number, action, line in (
        (0, "line-connected", "pdu"),
        (1, "line-connected", "pdu"),
        (2, "session-ended", None),
        (5, "line-connected", "pdu"),
        (10, "line-disconnected", "pdu"),
    ):
        tracker.note(logged(number, action, "alice", line, ""))
    first, other, open_one = sorted(tracker.every(), key=lambda one: one.session)
    at = [timestamp(BEGIN + timedelta(minutes=number)) for number in range(11)]
    assert first == Attachment("pdu", "0192f0c1-2345-7678-9abc-000000000000", "alice", at[0], at[2])
    assert (other.opened_at, other.closed_at) == (at[5], "")
    assert (open_one.opened_at, open_one.closed_at) == ("", at[10])


def test_the_log_itself_is_left_as_it_is(log: Path, folder: Path) -> None:
    assert len(read_log(log)) >= 600
    assert {path.parent for path in folder.rglob("*.index")} == {folder}
