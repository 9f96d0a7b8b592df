"""The rule that finds a command: what was typed, where its echo has to be, and when it is given up."""

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.typed.lazy_tracker import LOST_AFTER_BYTES, LazyTracker
from telnetsd.lines.typed.tracker import Command, CommandTracker, Finding, FullScreen
from telnetsd.lines.typed.waiting import MISSES_MAX, WAIT_MAX_BYTES, WAIT_MAX_S, WAITING_MAX

Steps = list[tuple[str, str]]


def _play(steps: Steps, tracker: CommandTracker[str] | LazyTracker[str] | None = None) -> list[Finding[str]]:
    """Type ("i", or the name of a typist) and show ("o") one step after the other."""
    tracker = CommandTracker(80, 24, "alice") if tracker is None else tracker
    found: list[Finding[str]] = []
    for code, data in steps:
        if code == "o":
            found += tracker.show(data.encode(), 0.0)
        else:
            found += tracker.type(data.encode(), 0.0, "alice" if code == "i" else code)
    return found


def test_a_command_is_found_when_its_line_ends_and_not_before() -> None:
    tracker = CommandTracker(80, 24, "alice")

    assert _play([("o", "sw1# "), ("i", "show ver"), ("o", "show ver"), ("i", "\r")], tracker) == []
    assert _play([("o", "\r\n")], tracker) == [Command("alice", "sw1#", "show ver")]


def test_enter_as_crlf_or_crnul_is_one_enter() -> None:
    for enter in ("\r", "\r\n", "\r\0", "\n"):
        assert _play(
            [("o", "$ "), ("i", f"ls{enter}"), ("o", "ls\r\n$ "), ("i", f"pwd{enter}"), ("o", "pwd\r\n")]
        ) == [
            Command("alice", "$", "ls"),
            Command("alice", "$", "pwd"),
        ]


def test_what_is_not_echoed_is_not_found() -> None:
    assert _play([("o", "Password: "), ("i", "geheim\r"), ("o", "\r\nWelcome\r\n$ ")]) == []


def test_a_masked_password_is_not_found_and_neither_is_its_length() -> None:
    for mask in "*•●·x":
        assert _play([("o", "PIN: "), ("i", "1234"), ("o", mask * 4), ("i", "\r"), ("o", "\r\n")]) == []


def test_a_masked_password_with_a_correction_is_not_found() -> None:
    steps = [("o", "Password: "), ("i", "12"), ("o", "**"), ("i", "\x7f"), ("o", "\b \b"), ("i", "\r"), ("o", "\r\n")]

    assert _play(steps) == []


def test_other_output_does_not_use_up_an_enter() -> None:
    steps = [("o", "$ "), ("i", "ls\r"), ("o", "[12.3] usb 1-1: new device\r\n$ ls\r\n")]

    assert _play(steps) == [Command("alice", "$", "ls")]


def test_an_enter_is_given_up_after_many_lines() -> None:
    steps = [("o", "$ "), ("i", "ls\r"), ("o", "other\r\n" * (MISSES_MAX + 1)), ("o", "$ ls\r\n")]

    assert _play(steps) == []


def test_an_enter_is_given_up_after_much_output() -> None:
    assert _play([("o", "$ "), ("i", "ls\r"), ("o", "x" * (WAIT_MAX_BYTES + 1)), ("o", "\r\n$ ls\r\n")]) == []


def test_an_enter_is_given_up_after_a_time() -> None:
    tracker = CommandTracker(80, 24, "alice")
    _play([("o", "$ ")], tracker)

    tracker.type(b"ls\r", 1.0, "alice")

    assert tracker.show(b"waiting\r\n", 1.0 + WAIT_MAX_S + 1) == []
    assert tracker.show(b"$ ls\r\n", 1.0 + WAIT_MAX_S + 1) == []
    assert tracker.is_idle


def test_what_another_participant_began_to_type_is_forgotten_at_a_hand_over() -> None:
    steps = [("o", "$ "), ("alice", "rm -r"), ("o", "rm -r"), ("bob", "\x15"), ("o", "\r\x1b[K$ ")]

    assert _play([*steps, ("bob", "ls\r"), ("o", "ls\r\n")]) == [Command("bob", "$", "ls")]


def test_a_command_belongs_to_the_one_who_pressed_enter_even_after_a_hand_over() -> None:
    assert _play([("o", "$ "), ("alice", "ls\r"), ("bob", "x"), ("o", "ls\r\n")]) == [Command("alice", "$", "ls")]


def test_the_first_command_is_found_when_a_line_was_begun_before() -> None:
    steps = [("o", "sw1> sho"), ("i", "\x15"), ("o", "\b\b\b   \b\b\b"), ("i", "ping\r"), ("o", "ping\r\n")]

    assert _play(steps) == [Command("alice", "sw1>", "ping")]


def test_what_is_typed_to_a_full_screen_program_is_not_found_and_the_program_is_marked() -> None:
    found = _play([("o", "\x1b[?1049h\x1b[H~"), ("i", "ihello\r"), ("o", "hello\x1b[?1049l$ "), ("i", "l")])

    assert found == [FullScreen("alice", has_begun=True), FullScreen("alice", has_begun=False)]


def test_a_line_that_the_far_side_wraps_with_crlf_is_one_command() -> None:
    tracker = CommandTracker(20, 24, "alice")
    text = "show interfaces status"

    found = _play([("o", "sw1# "), ("i", text), ("o", text[:15] + "\r\r\n" + text[15:]), ("i", "\r")], tracker)

    assert found + _play([("o", "\r\n")], tracker) == [Command("alice", "sw1#", text)]


def test_half_duplex_echo_counts_as_output() -> None:
    assert _play([("o", "> "), ("i", "*IDN?\r"), ("o", "*IDN?\r\n"), ("o", "ACME\r\n")]) == [
        Command("alice", ">", "*IDN?")
    ]


def test_the_number_of_enters_that_wait_is_limited() -> None:
    tracker = CommandTracker(80, 24, "alice")

    _play([("o", "$ "), ("i", "x\r" * 10 * WAITING_MAX)], tracker)

    assert len(list(tracker._waiting._entries)) == WAITING_MAX


def test_after_much_output_behind_a_half_typed_command_the_screen_alone_says_what_it_is() -> None:
    tracker = LazyTracker(80, 24, "alice")
    noise = "kernel: message\r\n" * (LOST_AFTER_BYTES // 8)

    found = _play([("o", "$ "), ("i", "ls\r"), ("o", "ls\r\n$ "), ("i", "echo ha"), ("o", "echo ha")], tracker)
    found += _play([("o", "\r\n"), ("o", noise[:70_000]), ("o", noise), ("o", "$ echo ha")], tracker)
    found += _play([("i", "lf\r"), ("o", "lf\r\n")], tracker)

    assert found == [Command("alice", "$", "ls"), Command("alice", "$", "echo half")]


def test_a_mode_that_was_set_in_output_that_is_not_kept_stays_set() -> None:
    tracker = LazyTracker(80, 24, "alice")

    found = _play([("o", "\x1b[?2004h"), ("o", "x\r\n" * 100_000), ("o", "$ ")], tracker)

    assert found == []
    assert _play([("i", "l"), ("o", "l")], tracker) == []
    assert tracker._tracker.screen.has_paste_mode


OUTPUT = st.text(st.sampled_from("$#abc \r\n\b\x1b[?0124;hlHKJAD*"), max_size=40)
INPUT = st.text(st.sampled_from("XYZ\r\n\x7f\x1b[A\x03\x1a"), max_size=20)


@given(st.lists(st.one_of(st.tuples(st.just("o"), OUTPUT), st.tuples(st.just("i"), INPUT)), max_size=30))
def test_text_that_was_never_shown_is_never_found(steps: Steps) -> None:
    found = _play(steps)

    assert not [one for one in found if isinstance(one, Command) and set(one.text + one.prompt) & set("XYZ")]


@given(st.lists(st.tuples(st.sampled_from("oi"), st.binary(max_size=40)), max_size=20))
def test_any_bytes_are_followed_lazily_and_at_once_alike(steps: list[tuple[str, bytes]]) -> None:
    steps = [*steps, ("i", b"\r")]

    assert _commands(CommandTracker(20, 6, "alice"), steps) == _commands(LazyTracker(20, 6, "alice"), steps)


def _commands(tracker: CommandTracker[str] | LazyTracker[str], steps: list[tuple[str, bytes]]) -> list[Finding[str]]:
    found: list[Finding[str]] = []
    for code, data in steps:
        found += tracker.show(data, 0.0) if code == "o" else tracker.type(data, 0.0, "alice")
    return [one for one in found if isinstance(one, Command)]
