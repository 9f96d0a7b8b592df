"""The text of a recording is cut into blocks so that no match is lost."""

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.search.blocks import (
    BLOCK_CHARS,
    BLOCK_MAX_S,
    PATTERN_MAX_CHARS,
    TextLine,
    TextOfRecording,
    blocks_of,
)


def _lines(*pieces: bytes) -> list[TextLine]:
    text = TextOfRecording()
    lines = [line for number, piece in enumerate(pieces) for line in text.feed(piece, number, "bob")]
    return [*lines, *text.rest()]


def test_a_line_has_the_time_at_which_it_was_complete() -> None:
    assert _lines(b"one\r\ntw", b"o\r\n", b"\x1b[31mthree") == [
        TextLine(0, "bob", "one"),
        TextLine(1, "bob", "two"),
        TextLine(2, "bob", "three"),
    ]


@given(st.integers(0, 20_000), st.integers(1, PATTERN_MAX_CHARS - 2))
def test_a_match_where_a_long_line_is_cut_is_in_one_piece(before: int, length: int) -> None:
    needle = "N" * length + "X"

    lines = _lines((("." * before) + needle + "." * 100).encode())

    assert any(needle in line.text for line in lines)


@given(
    st.lists(
        st.builds(
            TextLine,
            st.floats(0, 300),
            st.sampled_from(["", "bob"]),
            st.text("ab", max_size=3000).map(lambda t: t + "."),
        ),
        max_size=20,
    ).map(lambda lines: sorted(lines, key=lambda line: line.offset_s))
)
def test_blocks_have_every_line_and_are_limited(lines: list[TextLine]) -> None:
    blocks = list(blocks_of(lines))

    assert [line for block in blocks for line in block] == lines
    for block in blocks:
        assert len({line.writer for line in block}) == 1
        assert block[-1].offset_s - block[0].offset_s <= BLOCK_MAX_S
        assert len(block) == 1 or sum(len(line.text) for line in block) <= BLOCK_CHARS
