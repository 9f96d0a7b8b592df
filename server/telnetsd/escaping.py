"""The only function through which text of a peer enters a message, an event or another person's terminal."""

_ELLIPSIS = "…"


def escape(text: str, max_chars: int) -> str:
    r"""Return `text` so that it can neither break a line nor control a terminal.

    A character that is not printable (control characters, line separators, bidirectional overrides, zero-width
    characters, unpaired surrogates) becomes its number, as in `\x1b` or `\u202e`. A backslash is doubled, so that no
    text that a peer types looks like an escape that it is not. A text longer than `max_chars` is cut, and ends with
    an ellipsis.
    """
    shown = text[: max_chars + 1]
    if not shown.isprintable() or "\\" in shown:
        shown = "".join(_escape_character(character) for character in shown)
    return shown if len(shown) <= max_chars else shown[: max_chars - 1] + _ELLIPSIS


def escape_controls(text: str) -> str:
    """Return `text` so that it cannot control a terminal; a backslash is unchanged, since it was doubled before."""
    if text.isprintable():
        return text
    return "".join(one if one == "\\" else _escape_character(one) for one in text)


def _escape_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
