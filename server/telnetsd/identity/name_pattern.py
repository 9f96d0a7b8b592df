"""Patterns of cert-to-name entries: `{name}` stands for the user name, `*` for one part, all else for itself.

A pattern covers the whole value, never a piece of it, and there is nothing in it that takes long to match: no
regular expression of an operator ever meets the text of a peer.
"""

import re
from typing import Final

from telnetsd.errors import OperatorError
from telnetsd.identity.outcome import USER_NAME_PATTERN

_NAME: Final = "{name}"
_PART: Final = r"[^,+=/@\\:]+"
_TOKENS: Final = re.compile(r"\{name\}|\*")


class NamePattern:
    """One pattern.

    Raises:
        OperatorError: It does not name `{name}` exactly once, or two of its marks have nothing between them.
    """

    def __init__(self, text: str, entry_id: str) -> None:
        where = f"pattern {text!r} of cert_to_name {entry_id!r}"
        if text.count(_NAME) != 1:
            raise OperatorError(f"{where} must have {_NAME} in it exactly once, as in '{_NAME}@example.com'")
        tokens = _TOKENS.findall(text)
        literals = [re.escape(one) for one in _TOKENS.split(text)]
        if not all(literals[1:-1]):
            raise OperatorError(f"{where}: between two of its marks ({_NAME} and *) something must stand")
        marks = [f"({USER_NAME_PATTERN.pattern})" if token == _NAME else _PART for token in tokens]
        self._compiled = re.compile("".join(a + b for a, b in zip(literals, [*marks, ""], strict=True)))
        self.text = text

    def name_in(self, value: str) -> str | None:
        """Return the user name in a value that the pattern covers whole, or None."""
        match = self._compiled.fullmatch(value)
        return match[1] if match else None
