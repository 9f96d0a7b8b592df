"""Text as it is searched for: without case, and by groups of three characters (SQLite's FTS5 trigrams)."""

from typing import Final

TRIGRAM_CHARS: Final = 3


def folded(text: str) -> str:
    """Return a text as it is compared: without case."""
    return text.casefold()


def trigram_query(pattern: str) -> str:
    """Return the FTS5 query for a pattern of TRIGRAM_CHARS or more: all of its trigrams, in any place."""
    trigrams = sorted({pattern[at : at + TRIGRAM_CHARS] for at in range(len(pattern) - TRIGRAM_CHARS + 1)})
    return " AND ".join('"' + one.replace('"', '""') + '"' for one in trigrams)
