"""Editing at the prompt: a client that asks for single keys is echoed and edited for by the server."""

from collections.abc import Callable

import pytest

from support.client import Client
from support.lines import OpenTerminal, Terminal, line
from support.server import RunningServer, action_of, get

IAC = b"\xff"
DO_SGA, DONT_SGA, WILL_SGA, WONT_SGA = (IAC + one + b"\x03" for one in (b"\xfd", b"\xfe", b"\xfb", b"\xfc"))
DO_ECHO, DONT_ECHO, WILL_ECHO, WONT_ECHO = (IAC + one + b"\x01" for one in (b"\xfd", b"\xfe", b"\xfb", b"\xfc"))
WILL_NAWS = IAC + b"\xfb\x1f"
WINDOW = IAC + b"\xfa\x1f\x00\x28\x00\x18" + IAC + b"\xf0"
"""A screen of 40 columns."""


@pytest.fixture(scope="module")
def shared_settings() -> str:
    return line("switch-1", "exec:cat") + line("switch-2", "exec:cat") + line("other", "exec:cat")


@pytest.fixture
def bob(server: RunningServer, terminal: OpenTerminal) -> Terminal:
    """A user whose client sends single keys."""
    user = terminal(server, "bob")
    user.send(DO_SGA + WILL_NAWS)
    user.until(WILL_SGA + WILL_ECHO + IAC + b"\xfd\x1f")
    user.send(DO_ECHO + WINDOW)
    return user


def commands_of(server: RunningServer, user: Terminal) -> list[str]:
    port = user.client.tls.getsockname()[1]
    return [
        get(one, "telnetsd.command.line") for one in server.events_from(port) if action_of(one) == "command-executed"
    ]


def test_what_is_typed_is_echoed_edited_and_logged_as_it_was_run(server: RunningServer, bob: Terminal) -> None:
    bob.send(b"whx")
    bob.until(b"whx")
    bob.send(b"\x7fo\r")
    assert bob.until(b"bob> ").startswith(b"\b \bo\r\nuser ")
    bob.send(b"\x1b[A\x01\x05\r\x00")
    assert bob.until(b"bob> ").startswith(b"who\b\b\bwho\r\nuser ")
    assert commands_of(server, bob) == ["who", "who"]


def test_tab_completes_the_commands_and_lines_that_the_user_may_use(bob: Terminal) -> None:
    bob.send(b"conn\t")
    bob.until(b"connect ")
    bob.send(b"sw\t")
    bob.until(b"switch-")
    bob.send(b"\t\t")
    assert bob.until(b"bob> connect switch-") == b"\x07\r\nswitch-1  switch-2\r\nbob> connect switch-"
    bob.send(b"\x15kick x\t")
    bob.until(b"kick x\x07")
    bob.send(b"\x15who x\t")
    bob.until(b"who x\x07")
    bob.send(b"\x15help who\t\t")
    bob.until(b"\r\nwho  whoami\r\n")


def test_an_operator_completes_session_ids(server: RunningServer, terminal: OpenTerminal) -> None:
    alice = terminal(server, "alice")
    alice.send(DO_SGA)
    alice.until(WILL_ECHO)
    alice.send(DO_ECHO + b"whoami\r")
    shown = alice.until(b"alice> ").decode()
    session = shown.partition("\r\nsession      ")[2].partition("\r")[0]
    alice.send(b"kick " + session[-8:-1].encode() + b"\t")
    alice.until(b"kick " + session[-8:].encode() + b" ")


def test_an_interrupt_drops_the_line_and_the_end_of_input_ends_the_session(bob: Terminal) -> None:
    bob.send(b"nonsense\x03")
    assert bob.until(b"bob> ") == b"nonsense^C\r\nbob> "
    bob.send(b"\x04")
    assert bob.until(b"goodbye\r\n") == b"\r\ngoodbye\r\n"


def test_a_long_line_scrolls_within_the_width_of_the_screen(server: RunningServer, bob: Terminal) -> None:
    words = b"echo " + b"0123456789" * 6
    bob.send(words)
    bob.send(b"\r")
    bob.until(b"\r\n")
    assert bob.until(b"bob> ") == words.removeprefix(b"echo ") + b"\r\nbob> "
    assert commands_of(server, bob) == [words.decode()]


def test_a_notice_is_followed_by_the_prompt_and_the_half_typed_line(
    server: RunningServer, bob: Terminal, terminal: OpenTerminal
) -> None:
    bob.send(b"who")
    bob.until(b"who")
    terminal(server, "alice").send(b"wall hello\r\n")
    assert bob.until(b"bob> who") == b"\r\n*** alice to all: hello\r\nbob> who"


def test_a_client_that_refuses_echo_edits_its_lines_itself(server: RunningServer, terminal: OpenTerminal) -> None:
    bob = terminal(server, "bob")
    bob.send(DO_SGA)
    bob.until(WILL_ECHO)
    bob.send(DONT_ECHO + b"echo one\x08\x08wo\r\n")
    assert bob.until(b"bob> ") == b"owo\r\nbob> "


def test_after_a_line_the_server_edits_again_for_a_client_for_which_it_did_before(bob: Terminal) -> None:
    bob.send(b"connect other\r")
    bob.until(IAC + b"\xfb\x00")
    bob.send(IAC + b"\xfd\x00" + IAC + b"\xfc\x18")
    bob.until(b"leaves, ~? shows help\r\n")
    bob.send(b"hello\r~.")
    shown = bob.until(b"bob> ")
    assert WONT_ECHO not in shown
    assert IAC + b"\xfc\x00" in shown
    bob.send(b"whx\x7fo")
    bob.until(b"whx\b \bo")


def test_the_answer_to_a_question_is_edited_as_well(server: RunningServer, connect: Callable[..., Client]) -> None:
    guest = Terminal(connect())
    guest.until(b"guest> ")
    guest.send(DO_SGA)
    guest.until(WILL_ECHO)
    guest.send(DO_ECHO + b"enroll nina\r")
    guest.until(b"\r\n")
    guest.send(b".\r")
    guest.until(b"cancelled\r\nguest> ")
