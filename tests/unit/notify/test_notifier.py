"""Reading the log in batches."""

from contextlib import closing
from itertools import chain
from pathlib import Path

import pytest

from support.audit import KEY
from telnetsd.audit.log import AuditLog
from telnetsd.audit.reading.archive import Snapshot, take_snapshot
from telnetsd.audit.shipping import source as shipping
from telnetsd.audit.shipping.source import LogSource, sequence_of
from telnetsd.config.settings import AuditSettings
from telnetsd.notify import notifier

EVENT = {"@timestamp": "2026-11-30T12:00:00.000000Z", "event": {"action": "user-added"}, "message": "a user"}


def test_a_backlog_is_read_in_batches_without_a_gap_and_each_from_where_the_last_one_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def look(path: Path) -> Snapshot:
        nonlocal looks
        looks += 1
        return take_snapshot(path)

    monkeypatch.setattr(shipping, "take_snapshot", look)
    path = tmp_path / "log.jsonl"
    with closing(AuditLog(path, KEY, AuditSettings())) as log:
        log.append([EVENT])
        log.sync()
        with closing(LogSource(path, 0)) as source:
            batches = [notifier._read(source)]
            log.append([EVENT] * 2500)
            log.sync()
            while batches[-1]:
                batches.append(notifier._read(source))
    assert max(map(len, batches)) == notifier.READ_MAX
    assert len(batches) == 5
    numbers = [sequence_of(line) for line in chain.from_iterable(batches)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 2501
    assert looks == 1
