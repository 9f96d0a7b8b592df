"""Text that a line shows is reported: as an event, and to the operators who are connected."""

import socket
from collections.abc import Callable

import pytest

from support.command_line import telnetsd
from support.lines import OpenTerminal, line
from support.server import RunningServer, action_of, get
from support.upstreams import Upstream
from telnetsd.files.home import Home

ALERT = """
[[line.alert]]
name = "panic"
pattern = "(?i)kernel panic"
"""


def panic_when_asked(peer: socket.socket) -> None:
    """Show a kernel panic twice, with sequences that would control a terminal, after something was typed."""
    peer.recv(100)
    peer.sendall(b"\x1b[31mKernel panic\x1b[0m - not syncing\x1b]0;evil\x07\r\nkernel panic again\r\n# ")
    peer.recv(100)


def panic_at_once(peer: socket.socket) -> None:
    """Show a kernel panic."""
    peer.sendall(b"Kernel panic\r\n")
    peer.recv(100)


@pytest.mark.parametrize("workers", [1, 2])
def test_text_that_matches_is_logged_and_shown_to_operators_alone(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal, workers: int
) -> None:
    with Upstream(panic_when_asked) as upstream:
        server = start(line("sw1", f"tcp://127.0.0.1:{upstream.port}", record=True) + ALERT, workers=workers)
        alice, bob = terminal(server, "alice"), terminal(server, "bob")
        bob.connect("sw1")
        bob.send(b"reboot\r")

        alice.until(b"alert panic on sw1: Kernel panic - not syncing\r\n")

        shown = bob.until(b"again\r\n# ") + bob.leave()
        event = server.wait_for(lambda event: action_of(event) == "line-alert")
        server.wait_for(lambda event: action_of(event) == "line-disconnected")
    assert b"alert" not in shown
    assert get(event, "telnetsd.alert.name") == "panic"
    assert get(event, "telnetsd.alert.text") == "Kernel panic - not syncing"
    assert get(event, "telnetsd.line.name") == "sw1"
    assert get(event, "telnetsd.recording.file")
    assert event["event"]["reason"] == "alert"
    assert len([one for one in server.events() if action_of(one) == "line-alert"]) == 1


def test_an_alert_of_a_kept_open_line_needs_no_session(
    start: Callable[..., RunningServer], home: Home, terminal: OpenTerminal
) -> None:
    with Upstream(panic_at_once) as upstream:
        server = start(line("sw1", f"tcp://127.0.0.1:{upstream.port}", keep_open=True) + ALERT)

        event = server.wait_for(lambda event: action_of(event) == "line-alert")

    assert get(event, "telnetsd.session.id") is None
    assert get(event, "telnetsd.recording.file") is None


@pytest.mark.parametrize("pattern", ["a*", ".", "("])
def test_an_alert_that_is_of_no_use_is_refused(home: Home, pattern: str) -> None:
    home.config_file.write_text(
        line("sw1", "tcp://127.0.0.1:1") + f'[[line.alert]]\nname = "x"\npattern = "{pattern}"\n'
    )

    result = telnetsd(home, "check")

    assert result.returncode == 1
    assert "alert 'x'" in result.stdout
