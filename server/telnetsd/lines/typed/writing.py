"""What writes text to a page, without I/O."""

from telnetsd.lines.typed.page import Page
from telnetsd.lines.typed.rows import WIDE_REST, width_of


def write(page: Page, text: str, *, wraps: bool, inserts: bool) -> None:
    """Write printable text at the cursor."""
    if text.isascii():
        _write_narrow(page, text, wraps=wraps, inserts=inserts)
        return
    for character in text:
        width = width_of(character)
        if width == 0:
            page.row.combine(page.x if page.wraps_next else page.x - 1, character)
        elif width == 1:
            _write_narrow(page, character, wraps=wraps, inserts=inserts)
        else:
            _write_wide(page, character, wraps=wraps, inserts=inserts)


def repeat(page: Page, character: str, count: int) -> None:
    """Write a character several times, as far as the row reaches (REP)."""
    if page.wraps_next:
        page.wrap()
    cells = [character] if width_of(character) == 1 else [character, WIDE_REST]
    count = min(count, (page.columns - page.x) // len(cells))
    if count and width_of(character):
        _put(page, cells * count, wraps=True, inserts=False)


def _write_narrow(page: Page, text: str, *, wraps: bool, inserts: bool) -> None:
    while text:
        if page.wraps_next:
            page.wrap()
        room = page.columns - page.x
        part, text = text[:room], text[room:]
        _put(page, list(part), wraps=wraps, inserts=inserts)


def _write_wide(page: Page, character: str, *, wraps: bool, inserts: bool) -> None:
    if page.wraps_next or (wraps and page.x == page.columns - 1):
        page.wrap()
    _put(page, [character, WIDE_REST][: page.columns - page.x], wraps=wraps, inserts=inserts)


def _put(page: Page, cells: list[str], *, wraps: bool, inserts: bool) -> None:
    page.row.write(page.x, cells, page.columns, inserts=inserts)
    page.x += len(cells)
    if page.x >= page.columns:
        page.x = page.columns - 1
        page.wraps_next = wraps
