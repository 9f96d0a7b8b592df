"""Line editing by the server: what is typed is returned, and the screen always shows the line and the cursor."""

from collections.abc import Iterator, Sequence

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.telnet.line_discipline import (
    EndOfInput,
    Input,
    Interrupt,
    LineEndless,
    LineNotUtf8,
    LineTooLong,
    TypedLine,
)
from telnetsd.telnet.line_editor import KEYS_PER_TURN, LineEditor, WordAsked

COLUMNS = 40
PROMPT = "bob> "
LEFT, RIGHT, UP, DOWN = b"\x1b[D", b"\x1b[C", b"\x1b[A", b"\x1b[B"
HISTORY = ("who", "connect switch-1")


class Typist:
    """A user at a terminal, and the editor at the other end."""

    def __init__(self, *, line_max_bytes: int = 200, columns: int = COLUMNS) -> None:
        self.words: Sequence[str] = ()
        self.editor = LineEditor(self, line_max_bytes=line_max_bytes, endless_max_bytes=1000)
        self.screen = pyte.Screen(columns, 10)
        self.terminal = pyte.Stream(self.screen)
        self.terminal.feed(PROMPT)
        self.written = ""

    def prompt(self) -> str:
        return PROMPT

    def columns(self) -> int:
        return self.screen.columns

    def history(self) -> Sequence[str]:
        return HISTORY

    def type(self, data: bytes) -> list[Input]:
        found: list[Input] = []
        for one in self._events(data):
            if isinstance(one, WordAsked):
                self.editor.complete(self.words)
            elif one is not None:
                found.append(one)
                if isinstance(one, TypedLine | LineTooLong | LineNotUtf8):
                    self.show(PROMPT)
        self.show(self.editor.take_output())
        return found

    def _events(self, data: bytes) -> Iterator[Input | WordAsked | None]:
        for one in self.editor.inputs(data):
            self.show(self.editor.take_output())
            yield one

    def show(self, text: str) -> None:
        self.written += text
        self.terminal.feed(text)

    @property
    def row(self) -> str:
        return str(self.screen.display[self.screen.cursor.y]).rstrip()

    @property
    def column(self) -> int:
        return int(self.screen.cursor.x)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (b"who\r", "who"),
        (b"who\r\n", "who"),
        (b"who\r\x00", "who"),
        (b"who\n", "who"),
        (b"wxo\x08\x7fho\r", "who"),
        (b"ho" + LEFT * 5 + b"w\r", "who"),
        (b"o\x01wh\r", "who"),
        (b"ho\x1b[Hw\r", "who"),
        (b"who\x01\x05 -a\r", "who -a"),
        (b"xwho\x01\x1b[3~\r", "who"),
        (b"xwho\x01\x04\r", "who"),
        (b"who am i\x17\x17\r", "who "),
        (b"one two" + b"\x1bb\x0b\r", "one "),
        (b"one two\x1bb\x15\r", "two"),
        (b"one two\x1b[1;5D\x1b[1;5D\x1b[1;5Cx\r", "onex two"),
        (b"who" + LEFT + RIGHT * 3 + b"!\r", "who!"),
        (UP + b"\r", "connect switch-1"),
        (UP + UP + b"\r", "who"),
        (UP * 9 + DOWN + b"\r", "connect switch-1"),
        (b"draft" + UP + DOWN + b"!\r", "draft!"),
        (b"\x10\x0e\x1bOA\r", "connect switch-1"),
        ("größe 漢字\r".encode(), "größe 漢字"),
        ("漢字".encode() + b"\x7fx\r", "漢x"),
        ("e\u0301a".encode() + LEFT + b"\x7fo\r", "oa"),
        (b"a\x1b[200~b\x1b[99;5Zc\x1bxd\x00\x07\r", "abcd"),
    ],
)
def test_keys_edit_the_line(keys: bytes, line: str) -> None:
    assert Typist().type(keys) == [TypedLine(line)]
    typist = Typist()
    assert [event for key in keys for event in typist.type(bytes([key]))] == [TypedLine(line)]


def test_plain_text_is_echoed_as_it_is_and_erased_without_any_sequence() -> None:
    typist = Typist()
    typist.type(b"who")
    assert typist.written == "who"
    typist.type(b"\x7f")
    assert typist.written == "who\b \b"
    typist.type(b"\r")
    assert typist.written == "who\b \b\r\n" + PROMPT


def test_an_interrupt_drops_the_line_and_the_end_of_input_ends_it_only_if_it_is_empty() -> None:
    typist = Typist()
    assert typist.type(b"who\x04\x03\x04") == [Interrupt(), EndOfInput()]


def test_a_line_that_is_not_utf8_is_shown_as_such_and_not_run() -> None:
    typist = Typist()
    assert typist.type(b"wh\xff\xc3") == []
    assert typist.row == PROMPT + "wh\N{REPLACEMENT CHARACTER}"
    assert typist.type(b"\r") == [LineNotUtf8()]
    assert typist.type(b"who\r") == [TypedLine("who")]


def test_a_line_that_is_too_long_is_dropped_as_a_whole_up_to_its_end() -> None:
    typist = Typist(line_max_bytes=10)
    assert typist.type(b"0123456789") == []
    assert typist.type(b"x") == [LineTooLong()]
    assert typist.type(b"rm -rf" + UP + b"\x7f\x04\t") == []
    assert typist.type(b"\rwho\r") == [TypedLine("who")]


def test_a_line_without_end_is_reported_once_and_nothing_follows() -> None:
    typist = Typist(line_max_bytes=10)
    assert typist.type(b"x" * 600 + b"\x01" + b"x" * 600 + b"\rwho\r") == [LineTooLong(), LineEndless()]
    assert typist.type(b"who\r") == []


def test_the_caller_gets_a_turn_among_many_keys() -> None:
    turns = [one for one in Typist().editor.inputs(b"\x01" * (3 * KEYS_PER_TURN)) if one is None]
    assert len(turns) == 3


def test_tab_completes_a_word_and_lists_the_possible_ones_when_pressed_again() -> None:
    typist = Typist()
    typist.words = ["connect", "commands", "who"]
    typist.type(b"w\t")
    assert typist.row == PROMPT + "who"
    assert typist.column == len(PROMPT) + 4
    typist.type(b"\x15c\t")
    assert typist.row == PROMPT + "co"
    typist.type(b"\t")
    assert typist.row == PROMPT + "co"
    typist.type(b"\t")
    assert [str(one).rstrip() for one in typist.screen.display[:3]] == [
        PROMPT + "co",
        "commands  connect",
        PROMPT + "co",
    ]
    typist.type(b"n\t")
    assert typist.type(b"\r") == [TypedLine("connect ")]


def test_completion_in_the_middle_of_a_line_looks_at_the_text_before_the_cursor() -> None:
    typist = Typist()
    typist.words = ["switch-1"]
    assert typist.type(b"connect s --force" + LEFT * 8 + b"\t\r") == [TypedLine("connect switch-1  --force")]


def test_many_words_are_listed_in_rows_that_fit_and_their_number_is_limited() -> None:
    typist = Typist()
    typist.words = [f"word-{number:03}" for number in range(150)]
    typist.type(b"word-\t\t")
    rows = typist.written.split("\r\n")
    assert max(map(len, rows)) < COLUMNS
    assert "and 50 more" in rows


def test_the_screen_is_drawn_again_on_request() -> None:
    typist = Typist()
    typist.type(b"who" + LEFT)
    typist.show("noise\r\nnoise")
    typist.type(b"\x0c")
    assert (typist.screen.cursor.y, typist.row, typist.column) == (0, PROMPT + "who", len(PROMPT) + 2)


def test_a_notice_can_be_followed_by_the_prompt_and_the_line_as_it_is() -> None:
    typist = Typist()
    typist.type(b"who" + LEFT)
    typist.show("\r\n*** notice\r\n" + PROMPT + typist.editor.shown)
    typist.type(b"x")
    assert typist.row == PROMPT + "whxo"


MOVES = [LEFT, RIGHT, UP, DOWN, b"\x01", b"\x05", b"\x1bb", b"\x1bf"]
ERASURES = [b"\x7f", b"\x1b[3~", b"\x17", b"\x15", b"\x0b"]
TEXTS = [b"a", b"word ", "ü".encode(), "漢".encode(), "e\u0301".encode(), b"\t", b"x" * 30]
EDITS = st.sampled_from([*MOVES, *ERASURES, *TEXTS])


@given(st.lists(EDITS, max_size=40), st.integers(20, 60))
def test_whatever_is_edited_the_row_shows_the_part_of_the_line_around_the_cursor(
    keys: list[bytes], columns: int
) -> None:
    typist = Typist(columns=columns)
    typist.words = ["word", "wonder"]
    for key in keys:
        if typist.type(key):
            return  # the line was too long
        line = typist.editor.line
        shown = typist.editor._row._shown
        first = typist.editor._row._first
        assert first <= line.cursor <= first + len(shown)
        assert list(line.characters[first : first + len(shown)]) == shown
        cells = pyte.Screen(columns, 3)
        pyte.Stream(cells).feed(PROMPT + "".join(shown))
        assert typist.row == str(cells.display[0]).rstrip()
        assert cells.cursor.x < columns, "the last cell stays free"
        before = pyte.Screen(columns, 3)
        pyte.Stream(before).feed(PROMPT + "".join(shown[: line.cursor - first]))
        assert typist.column == before.cursor.x


@given(st.lists(EDITS | st.sampled_from([b"\r", b"\r\n", b"\x03", b"\xff", b"\x1b"]), max_size=30), st.data())
def test_the_split_of_the_packets_does_not_matter(keys: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(keys)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    one, other = Typist(), Typist()
    assert one.type(whole) == [event for piece in pieces for event in other.type(piece)]
    assert one.editor.line.text == other.editor.line.text
