"""Parts of an event: structs in which each attribute corresponds to a field of the Elastic Common Schema.

An attribute is annotated with a `Field`, or is a part itself. An attribute without a default is a field that the
event always has; None means that the event does not have the field.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

import msgspec

Schema = Mapping[str, Any]
"""A JSON Schema."""
Fields = dict[str, Any]
"""A nested JSON object: what a part is in the log."""


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """One field of the log.

    Attributes:
        name: Its path, as in `source.ip`.
        schema: The schema of its value.
        summary: A description for people.
    """

    name: str
    schema: Schema
    summary: str


class _PartMeta(msgspec.StructMeta):
    """Makes every part immutable, and its attributes keyword-only: subclasses do not inherit this from msgspec."""

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> "_PartMeta":  # noqa: PYI034 -- no Self in a metaclass
        """Make a class."""
        return super().__new__(mcs, name, bases, namespace, frozen=True, kw_only=True)


@dataclass_transform(kw_only_default=True)
class Part(msgspec.Struct, metaclass=_PartMeta):
    """Fields that belong together.

    Attributes:
        WRITTEN_ELSEWHERE: The attributes that are no fields, since another module writes them.
    """

    WRITTEN_ELSEWHERE: ClassVar[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class FieldPlace:
    """The place of an attribute of a part in the log.

    Attributes:
        path: The attribute, or the path to it through parts.
        field: The field that it fills.
        is_required: Whether every event with the part has the field.
    """

    path: tuple[str, ...]
    field: Field
    is_required: bool


@cache
def slots_of(part: type[Part]) -> tuple[FieldPlace, ...]:
    """Return the fields of a kind of part, in the order of its attributes."""
    return tuple(_find_slots(part))


def to_fields(*parts: Part) -> Fields:
    """Return parts as the nested object in the log; if two parts have the same field, the later one counts."""
    fields: Fields = {}
    for part in parts:
        _fill(fields, _tree_of(type(part)), part)
    return fields


def merge(into: Fields, other: Mapping[str, Any]) -> Fields:
    """Merge two objects, including their inner objects; `other` wins. Neither object is changed."""
    merged = dict(into)
    for key, value in other.items():
        known = merged.get(key)
        merged[key] = merge(known, value) if isinstance(known, dict) and isinstance(value, Mapping) else value
    return merged


def _find_slots(part: type[Part]) -> Iterator[FieldPlace]:
    hints = get_type_hints(part, include_extras=True)
    for attribute in msgspec.structs.fields(part):
        if attribute.name in part.WRITTEN_ELSEWHERE:
            continue
        # A default other than None means that the field is always there.
        is_required = attribute.required or attribute.default is not None
        for one in _alternatives(hints[attribute.name]):
            if isinstance(one, type) and issubclass(one, Part):
                for slot in slots_of(one):
                    yield FieldPlace((attribute.name, *slot.path), slot.field, slot.is_required and is_required)
            elif get_origin(one) is Annotated:
                (field,) = (extra for extra in get_args(one)[1:] if isinstance(extra, Field))
                yield FieldPlace((attribute.name,), field, is_required)
            else:
                raise TypeError(f"{part.__name__}.{attribute.name} is no field: declare one in events/fields.py")


def _alternatives(hint: object) -> tuple[Any, ...]:
    if get_origin(hint) in {Union, UnionType}:
        return tuple(one for one in get_args(hint) if one is not NoneType)
    return (hint,)


_Tree = dict[str, Any]
"""By the keys of the log: the tree below a key, or the path to the attribute."""


@cache
def _tree_of(part: type[Part]) -> _Tree:
    root: _Tree = {}
    for slot in slots_of(part):
        *above, last = slot.field.name.split(".")
        place = root
        for key in above:
            place = place.setdefault(key, {})
        place[last] = slot.path
    return root


def _fill(fields: Fields, tree: _Tree, part: Part) -> None:
    for key, place in tree.items():
        if isinstance(place, dict):
            below = fields.get(key, {})
            _fill(below, place, part)
            if below:
                fields[key] = below
            continue
        value: Any = part
        for attribute in place:
            value = getattr(value, attribute, None)
        if value is not None:
            fields[key] = value
