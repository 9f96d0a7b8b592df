"""What inserts, deletes and erases rows of a page, without I/O."""

from telnetsd.lines.typed.page import Page
from telnetsd.lines.typed.rows import Row


def insert_rows(page: Page, count: int) -> None:
    """Insert rows at the cursor (IL)."""
    if not page.top <= page.y <= page.bottom:
        return
    count = min(count, page.bottom + 1 - page.y)
    page.rows[page.y : page.y] = [Row(is_placed=True) for _ in range(count)]
    del page.rows[page.bottom + 1 : page.bottom + 1 + count]
    page.move_to(page.y, 0)


def delete_rows(page: Page, count: int) -> None:
    """Delete rows at the cursor (DL)."""
    if not page.top <= page.y <= page.bottom:
        return
    count = min(count, page.bottom + 1 - page.y)
    if len(page.rows) > page.bottom:
        page.rows[page.bottom + 1 : page.bottom + 1] = [Row(is_placed=True) for _ in range(count)]
    del page.rows[page.y : page.y + count]
    page.move_to(page.y, 0)


def erase_below(page: Page) -> None:
    """Erase from the cursor to the end of the page (ED 0)."""
    if not page.x and not page.y:
        page.row.is_placed = False  # home and erased: lines are written from here on
    page.row.erase_right(page.x)
    del page.rows[page.y + 1 :]


def erase_above(page: Page) -> None:
    """Erase from the beginning of the page to the cursor (ED 1)."""
    for row in page.rows[: page.y]:
        row.erase_right(0)
    page.row.erase_left(page.x)


def erase_all(page: Page) -> None:
    """Erase the whole page (ED 2); the cursor stays."""
    page.rows = [Row() for _ in range(page.y + 1)]
