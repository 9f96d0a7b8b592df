"""The rule that finds a command: what was typed, where its echo has to be, and when it is given up."""

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.typed.lazy_tracker import KEPT_MAX_BYTES, LOST_AFTER_BYTES, LazyTracker
from telnetsd.lines.typed.tracker import Command, CommandTracker, Finding, FullScreen
from telnetsd.lines.typed.waiting import MISSES_MAX, WAIT_MAX_BYTES, WAIT_MAX_S, WAITING_MAX

Steps = list[tuple[str, str]]


def _play(steps: Steps, tracker: CommandTracker[str] | LazyTracker[str] | None = None) -> list[Finding[str]]:
    """Type ("i", or the name of a typist) and show ("o") one step after the other."""
    tracker = CommandTracker(80, 24, "alice") if tracker is None else tracker
    found: list[Finding[str]] = []
    for code, data in steps:
        if code == "o":
            found += _all(tracker.show(data.encode(), 0.0))
        else:
            found += _all(tracker.type(data.encode(), 0.0, "alice" if code == "i" else code))
    return found


def _all(found: list[Finding[str]] | Iterator[list[Finding[str]]]) -> list[Finding[str]]:
    """Return everything that a tracker has found, in steps or at once."""
    return found if isinstance(found, list) else [one for step in found for one in step]


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


LEARNED: Steps = [("o", "sw# "), ("A", "true\r"), ("o", "true\r\nsw# ")]
"""A first command, after which the prompt is known."""
FIRST = Command("A", "sw#", "true")


def _after_first(*steps: tuple[str, str]) -> list[Finding[str]]:
    """Play a first command and further steps, and return what is found of the latter."""
    first, *found = _play([*LEARNED, *steps])
    assert first == FIRST
    return found


@pytest.mark.parametrize(
    "steps",
    [
        # Another Enter still waits: it was echoed otherwise than typed.
        [("o", "login: "), ("A", "bob\r"), ("o", "BOB\r\nPassword: "), ("A", "up\r"), ("o", "\r\nGi0/1 is up\r\n")],
        [("o", "$ "), ("A", "ssh x\r"), ("o", "\r\nPassword: "), ("A", "up\r"), ("o", "\r\nGi0/1 is up\r\n$ ")],
        # Typed ahead of the prompt.
        [
            ("o", "sw> "),
            ("A", "en\r"),
            ("A", "up\r"),
            ("o", "en\r\nPassword: \r\n"),
            ("o", "Gi0/1 is up\r\nsw# up\r\n"),
        ],
        # Masked, with a correction, where no prompt is known.
        [("A", "\r"), ("o", "PIN: "), ("A", "upp\x7f\r"), ("o", "***\b \b\r\n")],
    ],
)
def test_a_secret_is_not_found_in_a_later_line_that_ends_with_it(steps: Steps) -> None:
    assert not [one for one in _play(steps) if isinstance(one, Command) and ("up" in one.text or "*" in one.text)]


@pytest.mark.parametrize("key", ["\x04", "\x1c", "\x03"])
def test_a_key_that_may_discard_a_line_hides_no_command_that_stays(key: str) -> None:
    assert _after_first(
        ("A", "rm -r /x"), ("o", "rm -r /x"), ("A", key), ("o", "\x07"), ("A", "\r"), ("o", "\r\nsw# ")
    ) == [Command("A", "sw#", "rm -r /x")]


def test_a_line_that_was_discarded_is_not_found() -> None:
    assert (
        _after_first(
            ("A", "rm -r /x"), ("o", "rm -r /x"), ("A", "\x03"), ("o", "^C\r\nsw# "), ("A", "\r"), ("o", "\r\nsw# ")
        )
        == []
    )


def test_a_command_that_is_accepted_by_another_key_than_enter_is_found() -> None:
    assert _after_first(("A", "date"), ("o", "date"), ("A", "\x0f"), ("o", "\r\nsw# ")) == [
        Command("A", "sw#", "date")
    ]


def test_a_command_of_one_letter_that_looks_like_a_mask_is_found_after_a_correction() -> None:
    steps = [
        ("A", "a"),
        ("o", "a"),
        ("A", "\x7f"),
        ("o", "\b \b"),
        ("A", "x"),
        ("o", "x"),
        ("A", "\r"),
        ("o", "\r\n"),
    ]

    assert _after_first(*steps) == [Command("A", "sw#", "x")]


def test_a_command_that_one_typed_and_another_accepted_belongs_to_the_latter() -> None:
    assert _after_first(("A", "rm -r /x"), ("o", "rm -r /x"), ("B", "\r"), ("o", "\r\nsw# ")) == [
        Command("B", "sw#", "rm -r /x")
    ]


@pytest.mark.parametrize("before", ["\x1b[A\r", "y\r"])
def test_an_enter_that_was_never_echoed_does_not_take_the_command_of_the_next_writer(before: str) -> None:
    assert _after_first(("A", before), ("B", "copy\r"), ("o", "copy\r\nsw# ")) == [Command("B", "sw#", "copy")]


def test_a_command_that_one_sent_in_vain_and_another_sends_again_belongs_to_the_latter() -> None:
    keys = [step for key in "reload" for step in (("B", key), ("o", key))]

    assert _after_first(("A", "reload\r"), *keys, ("B", "\r"), ("o", "\r\nsw# ")) == [Command("B", "sw#", "reload")]


def test_a_secret_among_many_pieces_that_were_echoed_is_not_found() -> None:
    pieces = [step for key in "abcdef" for step in (("A", key), ("o", f"{key}\r\n"))]

    found = _play([
        ("o", "booting\r\n"), ("A", "x"), ("o", "x\r\n"), ("A", "hunter2"), ("o", "\r\n"),
        *pieces, ("A", "z"), ("o", "z"), ("A", "\r"), ("o", "\r\n"),
    ])  # fmt: skip

    assert "hunter2" not in repr(found)


def test_an_edited_line_that_has_scrolled_sideways_is_marked_as_cut() -> None:
    text = "username admin privilege 15 secret Hunter2-very-long-passphrase-that-scrollz"
    steps = [
        ("A", text),
        ("o", text[:50] + "\rsw# $" + text[-50:]),
        ("A", "\x7f"),
        ("o", "\b \b"),
        ("A", "s"),
        ("o", "s"),
    ]

    (found,) = _after_first(*steps, ("A", "\r"), ("o", "\r\n"))

    assert isinstance(found, Command)
    assert found.is_cut


def test_a_line_whose_beginning_has_scrolled_off_is_marked_as_cut_and_gives_no_prompt() -> None:
    text = "username admin secret " + "S3cr" * 520
    pieces = [
        step for at in range(0, len(text), 50) for step in (("A", text[at : at + 50]), ("o", text[at : at + 50]))
    ]

    found = _after_first(*pieces, ("A", "\r"), ("o", "\r\n"))

    assert all(isinstance(one, Command) and one.is_cut and "S3cr" not in one.prompt for one in found)


def test_one_line_of_the_screen_is_not_found_again_without_being_written_again() -> None:
    found = _after_first(*[("A", "\x01\r"), ("o", "\x1b[A\n")] * 50)

    assert len(found) <= 1


def test_a_mode_stays_set_behind_many_other_modes_in_output_that_is_not_kept() -> None:
    tracker = LazyTracker(80, 24, "A")
    _play([*LEARNED, ("o", "\x1b[?1049h")], tracker)

    found = _play([("o", "\x1b[?25l tick \x1b[?25h\r\n" * 10_000), ("A", "geheim\r"), ("o", "geheim\r\n")], tracker)

    assert found == [FullScreen("A", has_begun=True)]


def test_what_is_kept_while_no_key_is_pressed_is_bounded() -> None:
    for piece in (b"x", b"\n" + b"x" * 100_000, b"\x1b[?25h" * 1000):
        tracker = LazyTracker(80, 24, "A")
        for _ in range(3000 if len(piece) == 1 else 3):
            list(tracker.show(piece, 0.0))
        assert len(tracker._kept) <= KEPT_MAX_BYTES
        assert len(tracker._modes) <= 3


HUGE = [("o", "A" * 50_000), *[("i" if n % 2 else "o", "q" if n % 2 else f"\r{n:03}\x1b[499C") for n in range(130)]]
HOSTILE = {
    "line ends of a wrapped line": ([*HUGE, ("i", "x\r" * 256)], ("o", "\x1b[A\n" * 1000)),
    "an editor that accepts without end": ([*HUGE, ("i", "x\r" * 256)], ("o", "\x1b[?2004h\x1b[?2004l" * 300)),
    "many Enters": (HUGE, ("i", "\r" * 4096)),
    "many edits": (HUGE, ("i", "a\x01" * 2048)),
    "a repeated wide character": (HUGE, ("o", "\u6f22\x1b[999b" * 1000)),
    "inserted rows": (HUGE, ("o", "\x1b[H\x1b[99L\x1b[99M" * 300)),
    "pastes of many lines": (
        [("o", "\x1b[?2004h" + "A" * 50_000), *[("i", "\x1b[200~b" + "\r" * 4000 + "b\x1b[201~\r")] * 8],
        ("o", "\n" * 500),
    ),
    "output that was kept": ([("o", "\n" + "\u6f22\x1b[999b" * 9000)], ("i", "a")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_step_takes_long_whatever_the_peers_send(name: str) -> None:
    tracker = LazyTracker(500, 100, "alice")
    setup, (code, data) = HOSTILE[name]
    _play(setup, tracker)
    longest, steps = (
        0.0,
        tracker.show(data.encode(), 0.0) if code == "o" else tracker.type(data.encode(), 0.0, "alice"),
    )
    begun = time.process_time()
    for _ in steps:
        longest, begun = max(longest, time.process_time() - begun), time.process_time()

    # A few milliseconds on any machine; the faults that this is for took seconds.
    assert longest < 0.3


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
        found += _all(tracker.show(data, 0.0) if code == "o" else tracker.type(data, 0.0, "alice"))
    return [one for one in found if isinstance(one, Command)]
