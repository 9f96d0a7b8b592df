"""Input is cut into strokes, however it is split."""

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.lines.typed.strokes import UNFINISHED_MAX_CHARS, Stroke, StrokeReader

INPUT = st.lists(
    st.sampled_from(
        [
            "a",
            "ä",
            "\r",
            "\r\n",
            "\r\0",
            "\n",
            "\x1b[A",
            "\x1bOB",
            "\x1b[200~",
            "\x1b[201~",
            "\x1b[3;5R",
            "\x03",
            "\x1bf",
        ]
    )
).map("".join)


def _strokes(*pieces: bytes) -> list[str | Stroke]:
    reader = StrokeReader()
    return [stroke for piece in pieces for stroke in reader.feed(piece)]


def test_each_kind_of_key_is_told_apart() -> None:
    assert _strokes("lä\r\n\x1b[A\x7f\x03\x1a\x1b[200~x\x1b[201~".encode()) == [
        "lä",
        Stroke.ENTER,
        Stroke.EDIT,
        Stroke.EDIT,
        Stroke.DISCARD,
        Stroke.WEAK_ENTER,
        Stroke.PASTE_BEGINS,
        "x",
        Stroke.PASTE_ENDS,
    ]


def test_what_a_terminal_reports_by_itself_is_no_key() -> None:
    assert _strokes(b"\x1b[12;40R\x1b[?62;22c\x1b[I\x1b[O") == []


def test_escape_and_then_enter_is_an_enter() -> None:
    assert _strokes(b"\x1b", b"\r") == [Stroke.EDIT, Stroke.ENTER]


@given(INPUT, st.integers(0, 60))
def test_a_split_makes_no_difference_but_to_where_text_is_cut(text: str, at: int) -> None:
    data = text.encode()

    assert _joined(_strokes(data[:at], data[at:])) == _joined(_strokes(data))


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_can_be_read(data: bytes, at: int) -> None:
    assert _joined(_strokes(data[:at], data[at:])) == _joined(_strokes(data))


def test_a_sequence_without_an_end_is_given_up() -> None:
    reader = StrokeReader()

    strokes = list(reader.feed(b"\x1b[" + b"1;" * 10_000))

    assert strokes
    assert len(reader._unfinished) <= UNFINISHED_MAX_CHARS


def _joined(strokes: list[str | Stroke]) -> list[str | Stroke]:
    joined: list[str | Stroke] = []
    for stroke in strokes:
        if isinstance(stroke, str) and joined and isinstance(joined[-1], str):
            joined[-1] += stroke
        else:
            joined.append(stroke)
    return joined
