"""The text of a page, without I/O: above all that of the cursor's line, which may take several rows."""

from typing import Final

from telnetsd.lines.typed.page import Page

LINE_MAX_CELLS: Final = 4096
"""How much of a line is looked at."""


def line_rows(page: Page) -> tuple[int, int]:
    """Return the first and the last row of the line, as far as it is looked at."""
    first = last = page.y
    most = LINE_MAX_CELLS // page.columns
    while first > max(0, page.y - most) and page.rows[first - 1].continues:
        first -= 1
    while last + 1 < min(len(page.rows), first + most) and page.rows[last].continues:
        last += 1
    return first, last


def line_of(page: Page) -> str:
    """Return the line, without spaces at its end."""
    first, last = line_rows(page)
    return "".join(row.text(page.columns) for row in page.rows[first : last + 1]).rstrip()


def line_to_cursor(page: Page) -> str:
    """Return the line up to the cursor."""
    first, _ = line_rows(page)
    before = "".join(row.text(page.columns) for row in page.rows[first : page.y])
    return before + "".join(page.row.cells[: page.x + (1 if page.wraps_next else 0)])


def is_cut(page: Page) -> bool:
    """Tell whether the beginning of the line is not there: it has scrolled off the page, or is too far away."""
    first, _ = line_rows(page)
    return page.rows[first].is_cut or (first > 0 and page.rows[first - 1].continues)


def text_at_edge(page: Page, before: str) -> str:
    """Return what the far side shows at the right edge of the line, behind free space; empty if nothing."""
    line = line_of(page)
    behind = line[len(before) :]
    return behind.strip() if len(line) >= page.columns - 2 and behind.startswith("  ") else ""


def texts(page: Page) -> list[str]:
    """Return the rows down to the cursor, without spaces at their ends."""
    return [row.text(page.columns).rstrip() for row in page.rows[: page.y + 1]]


def is_drawn(page: Page) -> bool:
    """Tell whether the line was reached by an absolute address: a program draws there."""
    return page.rows[line_rows(page)[0]].is_placed
