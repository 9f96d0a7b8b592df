"""What a verb costs: its CPU time from start to end, and that of a search in a year's log."""

import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from support.audit import KEY
from telnetsd.audit.chain import make_draft
from telnetsd.audit.log import AuditLog
from telnetsd.audit.retention import compress_rotated
from telnetsd.config.settings import AuditSettings
from telnetsd.events.fields import timestamp
from telnetsd.files.home import Home

VERBS: Final = ("--version", "--help", "user list", "session list", "line list", "audit tail", "check")
COMPLETED: Final = ("us", "user show a")
SEARCHES: Final = (
    "search --since 2026-03-03T10:00Z --until 2026-03-03T11:00Z",
    "search --text erase.startup.copy",
    "sessions --line switch-1 --since 2026-03-03 --until 2026-03-03",
    "search --reason none",
)
TIMES: Final = 5
BATCH: Final = 2000
YEAR: Final = timedelta(days=365)
BEGIN: Final = datetime(2025, 11, 30, tzinfo=UTC)
_WORDS: Final = (
    *("show", "interface", "status", "version", "config", "reload", "clear", "counters"),
    *("vlan", "trunk", "trace", "route", "erase", "startup", "copy"),
)


def measure_verbs(home: Home) -> dict[str, str]:
    """Return the CPU time of each verb, from start to end; a server runs on the home folder."""
    figures = {f"telnetsd {verb}: CPU": _median_ms(home, verb.split(), {}) for verb in VERBS}
    for words in COMPLETED:
        typed = {"_TELNETSD_COMPLETE": "complete_bash", "COMP_WORDS": f"telnetsd {words}"}
        typed["COMP_CWORD"] = str(len(words.split()))
        figures[f"completing `telnetsd {words}`: CPU"] = _median_ms(home, [], typed)
    return figures


def measure_log_search(home: Home, events: int) -> dict[str, str]:
    """Return the CPU time of searches in a log of so many events of a year, in rotated and compressed files."""
    _write_log(home.audit_file, events)
    compress_rotated(home.audit_file)
    name = f"log of {events:,} events"
    figures = {
        f"{name}, no index: audit {words}": _median_ms(home, ["audit", *words.split()], {}) for words in SEARCHES
    }
    figures[f"{name}: audit index"] = _cpu(home, ["audit", "index"], {})
    size = sum(path.stat().st_size for path in home.log_index_folder.iterdir())
    whole = sum(path.stat().st_size for path in home.audit_file.parent.glob("audit*"))
    figures[f"{name}: the index"] = f"{size / 2**20:.0f} MiB, {size / whole:.2f} of the files"
    for words in SEARCHES:
        figures[f"{name}: {words}"] = _median_ms(home, ["audit", *words.split()], {})
    return figures


def _median_ms(home: Home, words: list[str], environment: dict[str, str]) -> str:
    took = [_cpu_s(home, words, environment) for _ in range(TIMES)]
    return f"{statistics.median(took) * 1000:.0f} ms ({min(took) * 1000:.0f} to {max(took) * 1000:.0f})"


def _cpu(home: Home, words: list[str], environment: dict[str, str]) -> str:
    return f"{_cpu_s(home, words, environment):.1f} s"


def _cpu_s(home: Home, words: list[str], environment: dict[str, str]) -> float:
    """Run a verb with compiled files, and return the CPU time that it used, in seconds."""
    before = os.times()
    command = [str(Path(sys.executable).parent / "telnetsd"), *words]
    subprocess.run(
        command,
        env={**os.environ, "TELNETSD_HOME": str(home.root), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def _write_log(path: Path, events: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    step, batch = YEAR / events, []
    with closing(AuditLog(path, KEY, AuditSettings(rotate_age_s=0))) as log:
        for number, event in enumerate(_events(events)):
            event["@timestamp"] = timestamp(BEGIN + number * step)
            batch.append(make_draft(event))
            if len(batch) == BATCH:
                log.append_drafts(batch)
                batch = []
        log.append_drafts(batch)


def _events(count: int) -> Iterator[dict[str, Any]]:
    """Yield the events of sessions that each type some commands on a line."""
    chance, made = random.Random(7), 0  # noqa: S311 -- no secret
    while made < count:
        user, line = f"user{chance.randrange(200)}", f"switch-{chance.randrange(60)}"
        session = str(UUID(int=chance.getrandbits(128)))
        typed = [" ".join(chance.choices(_WORDS, k=3)) for _ in range(chance.randrange(4, 20))]
        rows = [
            ("session-started", f"{user} logged in", False),
            ("command-executed", f"{user}: connect {line}", False),
            ("line-connected", f"{user} is connected to {line} (writing)", True),
            *(("line-command", f"{user} typed on {line}: {words}", True) for words in typed),
            ("line-disconnected", f"{user} is no longer connected to {line}", True),
            ("session-ended", f"{user}: the session ended (quit)", False),
        ]
        for action, message, is_on_line in rows[: count - made]:
            yield _event(action, message, user, session, line if is_on_line else "")
        made += len(rows)


def _event(action: str, message: str, user: str, session: str, line: str) -> dict[str, Any]:
    telnetsd: dict[str, Any] = {"session": {"id": session}, "identity": {"kind": "user", "class": 1}}
    if line:
        telnetsd["line"] = {"name": line, "kind": "serial"}
    return {
        "event": {"action": action, "kind": "event", "outcome": "success", "reason": "permitted"},
        "message": message,
        "ecs": {"version": "9.4.0"},
        "user": {"name": user, "roles": ["user"]},
        "rule": {"id": "built-in-ca"},
        "tls": {"client": {"hash": {"sha256": "A" * 64}}, "version": "1.3", "cipher": "TLS_AES_256_GCM_SHA384"},
        "source": {"ip": "192.0.2.7", "port": 40000},
        "telnetsd": telnetsd,
    }
