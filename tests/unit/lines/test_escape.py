"""Escapes: a tilde at the start of a line and nowhere else, however the input is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.escape import Escape, EscapeReader


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (b"~.", [Escape.LEAVE]),
        (b"show\r~.", [b"show\r", Escape.LEAVE]),
        (b"show\n~?~#", [b"show\n", Escape.HELP, Escape.BREAK]),
        (b"show\r\0~.", [b"show\r\0", Escape.LEAVE]),
        (b"a~.", [b"a~."]),
        (b"~~.", [b"~."]),
        (b"~x", [b"~x"]),
        (b"cd ~/\r~/\r", [b"cd ~/\r~/\r"]),
        (b"", []),
    ],
)
def test_a_tilde_counts_only_at_the_start_of_a_line(typed: bytes, found: list[object]) -> None:
    assert EscapeReader().feed(typed) == found


PIECES = st.sampled_from([b"~", b".", b"\r", b"\n", b"\0", b"a", b"?", b"~~", b"ab"])


@given(st.lists(PIECES, max_size=20), st.integers(1, 5))
def test_any_split_of_the_input_finds_the_same_escapes(pieces: list[bytes], size: int) -> None:
    typed = b"".join(pieces)
    one = EscapeReader()
    cut: list[bytes | Escape] = []
    for start in range(0, len(typed), size):
        cut += one.feed(typed[start : start + size])
        if Escape.LEAVE in cut:
            break
    assert joined(cut) == joined(EscapeReader().feed(typed))


@pytest.mark.parametrize("size", [1, 2, 100])
def test_what_follows_the_escape_that_leaves_is_returned_as_it_came(size: int) -> None:
    typed, reader = b"show\r~.\r~?\r\n~.who\r\n", EscapeReader()
    found: list[bytes | Escape] = []
    for start in range(0, len(typed), size):
        found += reader.feed(typed[start : start + size])
        if Escape.LEAVE in found:
            assert reader.rest + typed[start + size :] == b"\r~?\r\n~.who\r\n"
            break
    assert joined(found) == [b"show\r", Escape.LEAVE]


def joined(found: list[bytes | Escape]) -> list[bytes | Escape]:
    """Join neighbouring bytes."""
    together: list[bytes | Escape] = []
    for one in found:
        if isinstance(one, bytes) and together and isinstance(together[-1], bytes):
            together[-1] += one
        else:
            together.append(one)
    return together
