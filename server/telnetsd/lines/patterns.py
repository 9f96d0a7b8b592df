"""Regular expressions of the operator, which are matched against what peers send: in linear time, by RE2."""

import importlib.util
from typing import TYPE_CHECKING, Any

from telnetsd.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

REDACTED = "[redacted]"
_SAMPLES = ("a", "Z", "7", " ", "#", "\u00e4", "link up")


def compile_pattern(text: str, where: str) -> Any:  # noqa: ANN401 -- the library has no types
    """Compile a pattern.

    Args:
        text: The pattern.
        where: The setting, for the message.
    Raises:
        OperatorError: The pattern is invalid, or the library is not installed.
    """
    if importlib.util.find_spec("re2") is None:
        raise OperatorError(f"{where} needs a library that is not installed; run: pip install 'telnetsd[alerts]'")
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        detail = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise OperatorError(f"{where} is not a regular expression that RE2 accepts: {detail}") from error


def require_specific(text: str, where: str) -> None:
    """Refuse a pattern that matches every line, or one without text.

    Raises:
        OperatorError: It does, it is invalid, or the library is not installed.
    """
    pattern = compile_pattern(text, where)
    if pattern.search("") is not None:
        raise OperatorError(f"{where} matches a line without text; let it require some text")
    if all(pattern.search(sample) is not None for sample in _SAMPLES):
        raise OperatorError(f"{where} matches every line; let it require some text")


def compile_set(texts: "Sequence[str]", where: str) -> "Callable[[str], Sequence[int]]":
    """Return a function that returns the numbers of the patterns that match a text.

    Raises:
        OperatorError: A pattern is invalid, or the library is not installed.
    """
    for text in texts:
        compile_pattern(text, where)
    import re2

    patterns = re2.Set.SearchSet(re2.Options())
    for text in texts:
        patterns.Add(text)
    patterns.Compile()
    return lambda text: patterns.Match(text) or ()


def redact(text: str, patterns: "Iterable[Any]") -> str:
    """Return a text without what the patterns match: without their groups, if they have any."""
    pieces, at = [], 0
    for start, end in _merged([span for pattern in patterns for span in _spans(pattern, text)]):
        pieces += [text[at:start], REDACTED]
        at = end
    return "".join([*pieces, text[at:]])


def _spans(pattern: Any, text: str) -> list[tuple[int, int]]:  # noqa: ANN401 -- the library has no types
    groups = range(1, pattern.groups + 1) if pattern.groups else (0,)
    spans = (found.span(group) for found in pattern.finditer(text) for group in groups)
    return [(start, end) for start, end in spans if end > start]


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
