"""Group commit: who awaits an event learns whether it is on disk, whatever happens."""

import asyncio
import threading
from pathlib import Path

import pytest

from support.audit import KEY, event, messages, open_test_log
from telnetsd.audit.event import Action, Fields
from telnetsd.audit.log import AuditLog, AuditUnavailableError
from telnetsd.audit.reader import last_lines
from telnetsd.audit.reason import EndReason
from telnetsd.audit.record import make_trail
from telnetsd.audit.sink import GroupCommit


class SlowLog(AuditLog):
    """A log whose disk takes its time: until the test says so."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, KEY)
        self.batches: list[int] = []
        self.may_go_on = threading.Event()

    def append(self, events: list[Fields]) -> None:
        assert self.may_go_on.wait(10)
        self.batches.append(len(events))
        super().append(events)


async def test_what_comes_while_a_batch_is_written_is_the_next_batch(tmp_path: Path) -> None:
    log = SlowLog(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    first = sink.put(event())
    await asyncio.sleep(0)
    others = [sink.put(event()) for _ in range(50)]
    assert not first.done()
    log.may_go_on.set()
    await asyncio.gather(first, *others)
    assert log.batches == [1, 50]
    assert len(messages(tmp_path / "audit.jsonl")) == 51
    await sink.close()
    log.close()


async def test_an_event_that_cannot_be_written_is_an_error_for_who_awaits_it_and_the_next_one_is_tried(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "audit"
    log = open_test_log(folder / "audit.jsonl")
    sink = GroupCommit(log)
    folder.rename(tmp_path / "away")
    with pytest.raises(AuditUnavailableError):
        await sink.put(event("lost"))
    sink.put(event("lost, and nobody asks"))
    with pytest.raises(AuditUnavailableError):
        await sink.put(event("lost as well"))
    folder.mkdir()
    await sink.put(event("found"))
    assert messages(folder / "audit.jsonl")[-1] == "found"
    await sink.close()
    log.close()


async def test_a_fault_in_writing_is_told_to_who_awaits_and_the_sink_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = open_test_log(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    with pytest.raises(AuditUnavailableError, match="the audit log failed"):
        await sink.put(event("no UTF-8: \ud800"))
    assert "by a fault of the server" in caplog.text
    await sink.put(event("fine"))
    await sink.close()
    log.close()


async def test_after_the_close_an_event_fails_at_once(tmp_path: Path) -> None:
    log = open_test_log(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    await sink.put(event())
    await sink.close()
    with pytest.raises(AuditUnavailableError, match="is closed"):
        await sink.put(event())
    log.close()


async def test_a_trail_binds_fields_and_an_event_adds_its_own(tmp_path: Path) -> None:
    import msgspec

    log = open_test_log(tmp_path / "trail.jsonl")
    sink = GroupCommit(log)
    trail = make_trail(sink).with_fields({"telnetsd": {"session": {"id": "x"}}, "user": {"name": "alice"}})
    narrower = trail.with_fields({"telnetsd": {"certificate": {"status": "verified"}}})
    await narrower.record(Action.SESSION_ENDED, EndReason.QUIT, "bye", telnetsd={"command": {"name": "quit"}})
    written = msgspec.json.decode(last_lines(tmp_path / "trail.jsonl", 1)[0])
    assert written["telnetsd"]["session"] == {"id": "x"}
    assert written["telnetsd"]["certificate"] == {"status": "verified"}
    assert written["telnetsd"]["command"] == {"name": "quit"}
    assert written["user"] == {"name": "alice"}
    assert written["event"]["category"] == ["session"]
    assert written["event"]["reason"] == "quit"
    assert written["ecs"]["version"] == "9.4.0"
    await sink.close()
    log.close()


async def test_the_log_keeps_no_descriptor_that_it_gave_back(tmp_path: Path) -> None:
    """After a file that could not be opened again, the old number may be a client's socket."""
    folder = tmp_path / "audit"
    log = open_test_log(folder / "audit.jsonl")
    folder.rename(tmp_path / "away")
    with pytest.raises(AuditUnavailableError):
        log.append([event("lost")])
    others = [(tmp_path / f"{number}").open("w+") for number in range(5)]
    folder.mkdir()
    log.append([event("found")])
    log.close()
    for other in others:
        other.write("still mine")
        other.seek(0)
        assert other.read() == "still mine"
        other.close()


async def test_what_nobody_waits_for_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telnetsd.audit.sink.GATHERED_MAX", 3)
    log = SlowLog(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    told = [sink.put(event())]
    await asyncio.sleep(0)
    told += [sink.put(event()) for _ in range(5)]
    log.may_go_on.set()
    results = await asyncio.gather(*told, return_exceptions=True)
    assert [type(one) for one in results] == [type(None)] * 4 + [AuditUnavailableError] * 2
    await sink.close()
    log.close()
