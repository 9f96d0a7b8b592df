"""Messages about wrong values, worded for an operator instead of msgspec's messages."""

import re
import typing
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from telnetsd.config.position import Position, SourceText
from telnetsd.config.settings import Section, Settings

_STEP: Final = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")
_MISSING: Final = re.compile("Object missing required field `(.+)`")
_PATTERN: Final = re.compile("`str` matching regex ('.+')")
_TYPE: Final = re.compile("`([a-z]+)`")
_TYPE_WORDS: Final = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "text",
}
SEE_MANUAL: Final = "see telnetsd.toml(5)"


def describe_wrong_value(message: str, source: SourceText) -> str:
    """Convert msgspec's message about a wrong value into one that names the key and its position."""
    what, _, where = message.partition(" - at ")
    steps: Position = tuple(
        int(index) if index.isdigit() else key or None for key, index in _STEP.findall(where.partition("$")[2])
    )
    if missing := _MISSING.fullmatch(what):
        return f"missing {missing[1]} in {source.place_of(steps)}; add it"
    key = next((step for step in reversed(steps) if isinstance(step, str)), "")
    of = f"a name under {key}" if where.startswith("`key`") else key
    words = _words_of_patterns(Settings)
    expected = _PATTERN.sub(lambda found: words.get(found[1], found[0]), what)
    expected = _TYPE.sub(lambda found: _TYPE_WORDS.get(found[1], found[1]), expected)
    return f"wrong value of {of} in {source.place_of(steps)}: {expected[0].lower()}{expected[1:]}; {SEE_MANUAL}"


def _words_of_patterns(kind: Any) -> dict[str, str]:  # noqa: ANN401
    """Return the description of each pattern, by its literal, for every pattern in a type expression and below it."""
    if isinstance(kind, type) and issubclass(kind, Section):
        parts: Iterable[Any] = [field.type for field in msgspec.structs.fields(kind)]
    else:
        parts = typing.get_args(kind)
    words = {
        repr(meta.pattern): meta.description or "" for meta in parts if isinstance(meta, msgspec.Meta) if meta.pattern
    }
    for part in parts:
        words |= _words_of_patterns(part)
    return words
