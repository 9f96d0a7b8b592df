"""The declaration of a configuration key: its meaning, and whether a running server applies a change of it.

A key is declared once, in `config.settings`. The file that `telnetsd init` writes, README's table, the page
docs/configuration.md and the manual telnetsd.toml(5) are made from these declarations: see `config.documents`.
"""

import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

_EXTRA = "telnetsd"


@dataclass(frozen=True, slots=True)
class KeyMeaning:
    """One key.

    Attributes:
        meaning: What it is for, as a phrase.
        waits: Whether a change waits for a restart.
        is_common: Whether the file that `init` writes contains it.
    """

    meaning: str
    waits: bool = False
    is_common: bool = False


def setting(meaning: str, *, waits: bool = False, common: bool = False) -> msgspec.Meta:
    """Declare a key, as an annotation of its type."""
    return msgspec.Meta(extra={_EXTRA: KeyMeaning(meaning, waits, common)})


def keys_of(section: type[msgspec.Struct]) -> Iterator[tuple[msgspec.structs.FieldInfo, KeyMeaning]]:
    """Yield the keys of a section, in their order.

    Raises:
        LookupError: A key is not declared with `setting`.
    """
    for field in msgspec.structs.fields(section):
        found = _find(field.type)
        if found is None:
            raise LookupError(f"{section.__name__}.{field.name} has no meaning; declare it with setting(…)")
        yield field, found


def fixed_values(settings: msgspec.Struct) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """Yield the values that a running server keeps from its start: those of each section's keys that need a restart.

    If a section can occur many times, the values of all its occurrences are yielded together, each after its name.
    """
    for field, _ in keys_of(type(settings)):
        section, form = section_of(field.type)
        if section is None:
            continue
        waiting = [inner.name for inner, key in keys_of(section) if key.waits]
        occurrences = list(_occurrences(getattr(settings, field.name)))
        kept = [(name, *(getattr(one, key) for key in waiting)) for name, one in occurrences]
        yield form.format(field.encode_name), kept if form == "[{}]" else [one for one in kept if any(one[1:])]


def _occurrences(value: Any) -> Iterator[tuple[object, msgspec.Struct]]:  # noqa: ANN401 -- of any section's type
    """Yield each occurrence of a section, with its name; the name is empty for a section that occurs once."""
    if isinstance(value, msgspec.Struct):
        yield "", value
    elif isinstance(value, dict):
        yield from value.items()
    else:
        yield from ((getattr(one, "name", ""), one) for one in value)


def section_of(kind: Any) -> tuple[type[msgspec.Struct] | None, str]:  # noqa: ANN401 -- a type annotation
    """Return the section that a field of a section holds, and the form of its table header; None if it holds none."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind, "[{}]"
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return section_of(arguments[0])
    for one in arguments:
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            return one, "[[{}]]" if origin is tuple else "[{}.NAME]"
    return None, ""


def _find(kind: Any) -> KeyMeaning | None:  # noqa: ANN401 -- a type annotation
    if typing.get_origin(kind) is not typing.Annotated:
        return None
    found = None
    for one in typing.get_args(kind)[1:]:
        if isinstance(one, msgspec.Meta) and one.extra and _EXTRA in one.extra:
            found = one.extra[_EXTRA]
    return found if isinstance(found, KeyMeaning) else None
