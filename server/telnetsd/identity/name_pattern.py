"""Patterns of cert-to-name entries: `{name}` stands for the user name, `*` for one part, other text for itself.

A pattern matches the whole value, never a part of it, and contains nothing that is slow to match. The server never
applies an operator's regular expression to a peer's text.
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
        OperatorError: It does not contain `{name}` exactly once, or two of its marks have nothing between them.
    """

    def __init__(self, text: str, entry_id: str) -> None:
        where = f"pattern {text!r} of cert_to_name {entry_id!r}"
        if text.count(_NAME) != 1:
            raise OperatorError(f"{where} must have {_NAME} in it exactly once, as in '{_NAME}@example.com'")
        tokens = _TOKENS.findall(text)
        literals = [re.escape(one) for one in _TOKENS.split(text)]
        if not all(literals[1:-1]):
            raise OperatorError(f"{where}: there must be text between two placeholders ({_NAME} and *)")
        marks = [f"({USER_NAME_PATTERN.pattern})" if token == _NAME else _PART for token in tokens]
        self._compiled = re.compile("".join(a + b for a, b in zip(literals, [*marks, ""], strict=True)))
        self.text = text

    def name_in(self, value: str) -> str | None:
        """Return the user name in a value if the pattern matches the whole value, or None."""
        match = self._compiled.fullmatch(value)
        return match[1] if match else None
