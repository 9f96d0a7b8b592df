"""Reading the log: its end, the lines that follow, and how events are shown."""

import threading
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from support.audit import event, open_test_log
from telnetsd.audit.reading.following import follow
from telnetsd.audit.reading.row import describe, read_event
from telnetsd.audit.reading.tail import last_lines

BEGINS = "a file of the audit log begins"


def append(path: Path, *texts: str) -> None:
    log = open_test_log(path)
    log.append([event(text) for text in texts])
    log.close()


def message_of(line: bytes) -> str:
    return describe(read_event(line)).message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_last_lines_returns_the_last_whole_lines(path: Path) -> None:
    assert last_lines(path, 5) == []
    append(path, *(f"{number} {'x' * 3000}" for number in range(100)))
    with path.open("ab") as file:
        file.write(b'{"torn')
    assert [message_of(line).split()[0] for line in last_lines(path, 60)] == [f"{n}" for n in range(40, 100)]
    assert last_lines(path, 0) == []
    assert len(last_lines(path, 1000)) == 101


class Following:
    """Runs `follow` in a thread, as `tail -f` does; a test waits for lines and never sleeps."""

    def __init__(self, path: Path, count: int) -> None:
        history, live = follow(path, count)
        self._lines: Iterator[bytes] = chain(history, live)
        self._got: list[str] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        for line in self._lines:
            with self._changed:
                self._got.append(message_of(line))
                self._changed.notify()

    def wait_for(self, *messages: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._got) >= len(messages), 10)
            assert self._got == list(messages)


def test_following_continues_across_rotation(path: Path) -> None:
    append(path, "one", "two")
    following = Following(path, 1)
    following.wait_for("two")
    append(path, "three")
    following.wait_for("two", "three")
    path.rename(path.with_name("audit.jsonl.1"))
    append(path, "four")
    following.wait_for("two", "three", BEGINS, "four")


def test_following_can_begin_before_the_file_exists(path: Path) -> None:
    following = Following(path, 10)
    append(path, "one")
    following.wait_for(BEGINS, "one")


def test_a_torn_line_that_is_removed_while_it_is_followed_is_not_joined_to_the_next_line(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(path, "one")
    seen_torn = threading.Event()

    def nap(_: float) -> None:
        if not path.read_bytes().endswith(b"\n"):
            seen_torn.set()
        time.sleep(0.001)

    monkeypatch.setattr("telnetsd.audit.reading.following.nap", nap)
    following = Following(path, 10)
    following.wait_for(BEGINS, "one")
    with path.open("ab") as file:
        file.write(b'{"@timestamp":"2026-01-01T00:00:00.000000Z","message":"mallory was added" ')
    assert seen_torn.wait(10)
    append(path, "two")
    (aside,) = path.parent.glob("torn-*")
    following.wait_for(BEGINS, "one", f"a torn last line of 74 bytes was set aside in {aside.name}", "two")


def test_a_line_longer_than_one_read_is_followed(path: Path) -> None:
    following = Following(path, 0)
    append(path, "x" * 200_000, "two")
    following.wait_for(BEGINS, "x" * 300, "two")


@pytest.mark.parametrize(
    "line",
    [b"", b"null", b"[]", b"{", b'{"message":"\xff\xfe"}', b'{"a":' * 5000, b'{"event":[],"user":7}', b"\x1b[2J"],
)
def test_a_damaged_line_can_be_shown(line: bytes) -> None:
    row = describe(read_event(line))
    assert all(value.isprintable() for value in (row.time(None), row.user, row.message, row.action, row.source))


def test_control_characters_in_a_changed_file_do_not_reach_the_terminal() -> None:
    row = describe(read_event(b'{"message":"\\u001b[2Jgone","user":{"name":"a\\nb"}}'))
    assert row.message == r"\x1b[2Jgone"
    assert row.user == r"a\x0ab"


def test_an_ipv6_source_is_shown_in_brackets() -> None:
    assert describe(read_event(b'{"source":{"ip":"::1","port":7}}')).source == "[::1]:7"


def test_a_source_of_several_connections_has_no_port() -> None:
    assert describe(read_event(b'{"source":{"ip":"192.0.2.1"}}')).source == "192.0.2.1"
    assert describe(read_event(b'{"source":{"ip":"2001:db8::1"}}')).source == "2001:db8::1"
