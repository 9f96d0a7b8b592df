"""Group commit: a caller that awaits an event learns whether it is on disk, whatever happens."""

import asyncio
import errno
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.audit import KEY, event, messages, open_test_log, read_log
from support.server import wait_until
from telnetsd.audit.chain import Draft, Head
from telnetsd.audit.log import AuditLog, AuditUnavailableError
from telnetsd.audit.reading.tail import last_lines
from telnetsd.audit.sink import GroupCommit
from telnetsd.audit.trail import make_event, make_trail
from telnetsd.config.settings import AuditSettings
from telnetsd.config.values import Durability
from telnetsd.events.of_sessions import CommandExecuted, HandshakeFailed
from telnetsd.events.reason import TlsReason

SOURCE = {"source": {"ip": "192.0.2.1", "port": 4711}}


class SlowLog(AuditLog):
    """A log whose writes wait until the test allows them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, KEY)
        self.batches: list[int] = []
        self.has_begun = threading.Event()
        self.may_go_on = threading.Event()

    async def wait_begun(self) -> None:
        assert await asyncio.to_thread(self.has_begun.wait, 10)

    def append_drafts(self, events: Sequence[Draft]) -> Head:
        self.has_begun.set()
        assert self.may_go_on.wait(10)
        self.batches.append(len(events))
        return super().append_drafts(events)


async def test_events_that_arrive_during_a_write_form_the_next_batch(tmp_path: Path) -> None:
    log = SlowLog(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    first = sink.put(event())
    await log.wait_begun()
    others = [sink.put(event()) for _ in range(50)]
    assert not first.done()
    log.may_go_on.set()
    await asyncio.gather(first, *others)
    assert log.batches == [1, 50]
    assert len(messages(tmp_path / "audit.jsonl")) == 51
    await sink.close()
    log.close()


async def test_events_of_successive_turns_form_one_batch(tmp_path: Path) -> None:
    """Writing one event costs much the same as writing many: while the event loop is busy, events gather."""
    log = SlowLog(tmp_path / "audit.jsonl")
    log.may_go_on.set()
    sink = GroupCommit(log)
    told = []
    for _ in range(20):
        told.append(sink.put(event()))
        await asyncio.sleep(0)
    await asyncio.gather(*told)
    assert log.batches == [20]
    await sink.close()
    log.close()


async def test_an_unwritable_event_is_an_error_for_its_caller_and_the_next_one_is_tried(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "audit"
    log = open_test_log(folder / "audit.jsonl")
    sink = GroupCommit(log)
    folder.rename(tmp_path / "away")
    with pytest.raises(AuditUnavailableError):
        await sink.put(event("lost"))
    sink.put(event("lost, and no caller waits"))
    with pytest.raises(AuditUnavailableError):
        await sink.put(event("lost as well"))
    folder.mkdir()
    await sink.put(event("found"))
    assert messages(folder / "audit.jsonl")[-1] == "found"
    await sink.close()
    log.close()


async def test_a_fault_in_writing_is_reported_to_the_caller_and_the_sink_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = open_test_log(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    with pytest.raises(AuditUnavailableError, match="the audit log failed"):
        await sink.put(event("no UTF-8: \ud800"))
    assert "the audit log failed: internal error" in caplog.text
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
    await narrower.record(CommandExecuted(message="bye", name="quit", line="quit"))
    written = msgspec.json.decode(last_lines(tmp_path / "trail.jsonl", 1)[0])
    assert written["telnetsd"]["session"] == {"id": "x"}
    assert written["telnetsd"]["certificate"] == {"status": "verified"}
    assert written["telnetsd"]["command"] == {"name": "quit", "line": "quit"}
    assert written["user"] == {"name": "alice"}
    assert written["event"]["category"] == ["api"]
    assert written["event"]["reason"] == "permitted"
    assert written["ecs"]["version"] == "9.4.0"
    await sink.close()
    log.close()


async def test_the_log_does_not_use_a_descriptor_that_it_has_closed(tmp_path: Path) -> None:
    """After a file that could not be reopened, the old number may belong to a client's socket."""
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


async def test_the_number_of_gathered_events_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telnetsd.audit.sink.GATHERED_MAX", 3)
    log = SlowLog(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    told = [sink.put(event())]
    await log.wait_begun()
    told += [sink.put(event()) for _ in range(5)]
    log.may_go_on.set()
    results = await asyncio.gather(*told, return_exceptions=True)
    assert [type(one) for one in results] == [type(None)] * 4 + [AuditUnavailableError] * 2
    await sink.close()
    log.close()


async def test_events_over_the_limit_while_a_slow_disk_writes_are_written_late_or_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telnetsd.audit.sink.GATHERED_MAX", 2)
    told: list[bool] = []
    log = SlowLog(tmp_path / "audit.jsonl")
    sink = GroupCommit(log, tell=told.append)
    sink.put(event("one"))
    await log.wait_begun()
    gathered = [sink.put(event("two")), sink.put(event("three"))]
    ended = make_event(HandshakeFailed(reason=TlsReason.TIMEOUT, message="over the limit"), SOURCE)
    over = [sink.put(ended), sink.put(event("refused"))]
    log.may_go_on.set()
    await asyncio.gather(*gathered)
    results = await asyncio.gather(*over, return_exceptions=True)
    assert [type(one) for one in results] == [AuditUnavailableError] * 2
    await sink.put(event("four"))
    await sink.close()
    log.close()
    events = read_log(tmp_path / "audit.jsonl")
    written = [one["message"] for one in events if one["event"]["action"] in {"server-started", "handshake-failed"}]
    assert written == ["one", "over the limit", "two", "three", "four"]
    (recovered,) = [one for one in events if one["event"]["reason"] == "writable-again"]
    assert recovered["telnetsd"]["audit"]["late"] == 1
    assert recovered["telnetsd"]["audit"]["lost"] == 1
    assert told == [True, False]


async def test_an_event_that_cannot_be_encoded_affects_no_other_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = SlowLog(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    first = sink.put(event("one"))
    others = [sink.put(event(text)) for text in ("two", "no UTF-8: \ud800", "three")]
    log.may_go_on.set()
    await first
    results = await asyncio.gather(*others, return_exceptions=True)
    assert [type(one) for one in results] == [type(None), AuditUnavailableError, type(None)]
    await sink.close()
    log.close()
    assert messages(tmp_path / "audit.jsonl") == ["one", "two", "three"]


async def test_with_interval_durability_a_failed_sync_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AuditSettings(durability=Durability.INTERVAL, sync_interval_s=0.01)
    log = open_test_log(tmp_path / "audit.jsonl", settings)
    is_out = asyncio.Event()
    sink = GroupCommit(log, settings, lambda out: is_out.set() if out else None)
    monkeypatch.setattr("telnetsd.audit.file.os.fdatasync", _io_error)
    await sink.put(event("one"))
    await asyncio.wait_for(is_out.wait(), 10)
    monkeypatch.undo()
    await sink.put(event("two"))
    await sink.close()
    log.close()
    assert messages(tmp_path / "audit.jsonl")[0] == "one"
    assert "writable-again" in [one["event"]["reason"] for one in read_log(tmp_path / "audit.jsonl")]


def _io_error(_: int) -> None:
    raise OSError(errno.EIO, "Input/output error")


def reasons(path: Path) -> list[str]:
    return [one["event"]["reason"] for one in read_log(path)]


async def test_an_idle_log_is_signed(tmp_path: Path) -> None:
    settings = AuditSettings(checkpoint_interval_s=0.1)
    log = open_test_log(tmp_path / "audit.jsonl", settings)
    sink = GroupCommit(log, settings)
    await sink.put(event("one"))
    what = "a checkpoint"
    await asyncio.to_thread(wait_until, lambda: "checkpoint-interval" in reasons(tmp_path / "audit.jsonl"), what)
    await sink.close()
    log.close()


async def test_a_log_that_can_be_written_again_when_it_is_closed_gets_the_events_of_the_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_test_log(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    trail = make_trail(sink)
    with monkeypatch.context() as broken:
        broken.setattr("telnetsd.audit.file.os.fdatasync", _io_error)
        with pytest.raises(AuditUnavailableError):
            await sink.put(event("lost"))
        with pytest.raises(AuditUnavailableError):
            await trail.record(HandshakeFailed(reason=TlsReason.CONNECTION_CLOSED, message="kept"))
    await sink.close()
    log.close()
    assert "kept" in messages(tmp_path / "audit.jsonl")
    assert "writable-again" in reasons(tmp_path / "audit.jsonl")


async def test_events_that_were_never_written_are_counted_when_the_log_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = open_test_log(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)
    monkeypatch.setattr("telnetsd.audit.file.os.fdatasync", _io_error)
    with pytest.raises(AuditUnavailableError):
        await sink.put(event("lost"))
    with pytest.raises(AuditUnavailableError):
        await make_trail(sink).record(HandshakeFailed(reason=TlsReason.CONNECTION_CLOSED, message="kept"))
    await sink.close()
    assert "2 events were never written to the audit log" in caplog.text


async def test_an_unexpected_error_of_the_log_reaches_every_caller_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = open_test_log(tmp_path / "audit.jsonl")
    sink = GroupCommit(log)

    def fail(_: object) -> None:
        raise ValueError("a fault")

    with monkeypatch.context() as broken:
        broken.setattr(log, "append_drafts", fail)
        with pytest.raises(AuditUnavailableError, match="a fault"):
            await sink.put(event("lost"))
    assert "the audit log failed: internal error" in caplog.text
    await sink.put(event("two"))
    await sink.close()
    log.close()
    assert messages(tmp_path / "audit.jsonl") == ["two"]
