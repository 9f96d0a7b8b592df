"""An auditor finds what a line has shown, plays it from there, and exports it."""

import contextlib
import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from support.command_line import telnetsd
from support.lines import OpenTerminal, line
from support.pty_program import PtyProgram
from support.server import RunningServer, wait_until
from support.upstreams import Upstream
from telnetsd.files.home import Home
from telnetsd.lines.search.index_file import IndexFile


def show_panic(start: Callable[..., RunningServer], terminal: OpenTerminal) -> RunningServer:
    """Let bob see something on a recorded line."""
    with Upstream(
        lambda peer: peer.sendall(b"boot\r\n\x1b[31mKernel panic\x1b[0m <&> not syncing\r\n# ")
    ) as upstream:
        server = start(line("sw1", f"tcp://127.0.0.1:{upstream.port}", record=True))
        bob = terminal(server, "bob")
        bob.connect("sw1")
        bob.until(b"syncing")
    return server


def test_what_a_line_has_shown_is_found_before_and_after_it_is_in_the_index(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = show_panic(start, terminal)
    for _ in range(2):
        found = telnetsd(home, "recording", "search", "KERNEL panic", "--line", "sw*", "--user", "bob")
        assert found.returncode == 0
        first, second = found.stdout.splitlines()
        assert first.endswith("  sw1  bob  Kernel panic <&> not syncing")
        assert found.stderr.strip() == "1 match; everything was searched"
        words = second.split()
        assert words[:3] == ["telnetsd", "recording", "play"]
        assert "Kernel panic" in telnetsd(home, *words[1:], "--speed", "1000").stdout
        assert server.stop() == "" if server.process.poll() is None else True
        assert telnetsd(home, "recording", "index").returncode == 0
    (row,) = map(json.loads, telnetsd(home, "recording", "search", "panic", "--json").stdout.splitlines())
    assert (row["line"], row["user"], row["text"]) == ("sw1", "bob", "Kernel panic <&> not syncing")


def test_a_search_without_a_match_says_so(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    show_panic(start, terminal)

    found = telnetsd(home, "recording", "search", "no such text")

    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.strip() == "no matching output; everything was searched"


def test_a_pattern_that_is_too_short_is_refused_with_the_limits(home: Home) -> None:
    found = telnetsd(home, "recording", "search", "ab")

    assert found.returncode == 1
    assert found.stderr.strip() == "error: the pattern has 2 characters; search for 3 to 200 characters"


def indexed(home: Home) -> set[str]:
    """Return the recordings that the index covers."""
    found: set[str] = set()
    for path in home.index_folder.glob("*.index"):
        # The file exists before its tables do.
        with (
            contextlib.suppress(sqlite3.DatabaseError),
            contextlib.closing(IndexFile(path, is_read_only=True)) as file,
        ):
            found |= file.files()
    return found


def test_the_server_makes_the_index_itself(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = show_panic(start, terminal)
    assert server.stop() == ""

    second = start()

    wait_until(lambda: indexed(home), "the index")
    assert second.stop() == ""
    assert telnetsd(home, "recording", "index").stderr.strip() == "added 0 recordings to the index (0.0 KiB)"


def test_a_recording_is_exported_as_text_as_a_page_and_as_an_asciicast(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    server = show_panic(start, terminal)
    assert server.stop() == ""
    (path,) = home.recordings_folder.iterdir()

    text = telnetsd(home, "recording", "export", path.name).stdout.splitlines()
    page = telnetsd(home, "recording", "export", path.name, "--format", "html").stdout
    cast = telnetsd(home, "recording", "export", path.name, "--format", "cast").stdout.splitlines()

    assert [row[25:] for row in text] == ["boot", "Kernel panic <&> not syncing", "# "]
    assert text[0][:4].isdecimal()
    assert "Kernel panic &lt;&amp;&gt; not syncing" in page
    assert "<script" not in page
    assert "\x1b" not in page
    assert json.loads(cast[0])["version"] == 3
    assert "".join(json.loads(row)[2] for row in cast[1:] if json.loads(row)[1] == "o").startswith("boot\r\n")


def test_nothing_that_is_exported_can_control_a_terminal(home: Home) -> None:
    home.recordings_folder.mkdir(parents=True)
    path = home.recordings_folder / "20261101T120000.000000-sw1-line.cast"
    header = '{"version":3,"term":{"cols":80,"rows":24,"type":"vt100"},"timestamp":0,"title":"sw1"}\n'
    path.write_text(header + json.dumps([0, "o", "a\u009b31m\u202eb\u2028c\x7f\r\n"]) + "\n")

    for form in ("text", "html", "cast"):
        shown = telnetsd(home, "recording", "export", path.name, "--format", form).stdout
        assert shown.replace("\n", "").isprintable(), form


def test_playing_can_be_paused_continued_and_ended_with_keys(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal, tmp_path: Path
) -> None:
    server = show_panic(start, terminal)
    assert server.stop() == ""
    (path,) = home.recordings_folder.iterdir()
    rows = path.read_text().splitlines(keepends=True)
    slow = home.recordings_folder / "20261101T120000.000000-sw1-line.cast"
    slow.write_text(rows[0] + '[0.1, "o", "one"]\n[60, "o", "two"]\n[0, "o", "three"]\n[60, "o", "four"]\n')
    words = ["-m", "telnetsd", "--home", str(home.root), "recording", "play", slow.name, "--idle", "600"]

    player = PtyProgram([sys.executable, *words, "--at", "60.1"], tmp_path)
    player.wait_for(rb"onetwothree")
    player.type(b" ")
    player.type(b" ")
    player.type(b"q")

    assert player.process.wait(30) == 0
