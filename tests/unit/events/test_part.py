"""Parts of events: from attributes to the nested object that the log has."""

from typing import Annotated, ClassVar, Literal

import pytest

from telnetsd.events import context
from telnetsd.events.event import Event
from telnetsd.events.part import Field, Part, merge, slots_of, to_fields
from telnetsd.events.reason import CommonReason

TEXT = {"type": "string"}
Colour = Annotated[str, Field("labels.colour", TEXT, "a colour")]
Size = Annotated[int, Field("labels.size", {"type": "integer"}, "a size")]
Shade = Annotated[str, Field("shade", TEXT, "a shade")]


class Paint(Part):
    """Two fields."""

    colour: Colour
    size: Size | None = None


class Painted(Event):
    """Something was painted."""

    action: ClassVar = "painted"
    reason: Literal[CommonReason.OK] = CommonReason.OK
    paint: Paint
    undercoat: Shade | None = None


def test_a_part_becomes_nested_fields_and_a_none_becomes_no_field() -> None:
    assert to_fields(Paint(colour="red", size=3)) == {"labels": {"colour": "red", "size": 3}}
    assert to_fields(Paint(colour="red")) == {"labels": {"colour": "red"}}
    assert to_fields(context.SourcePart()) == {}


def test_a_part_within_a_part_is_placed_by_the_paths_of_its_fields() -> None:
    event = Painted(message="painted", paint=Paint(colour="red"), undercoat="grey")
    assert to_fields(event) == {"labels": {"colour": "red"}, "shade": "grey"}


def test_when_two_parts_have_the_same_field_the_later_one_counts() -> None:
    assert to_fields(Paint(colour="red", size=3), Paint(colour="blue")) == {"labels": {"colour": "blue", "size": 3}}


def test_a_field_without_a_default_of_none_is_required() -> None:
    assert {slot.field.name: slot.is_required for slot in slots_of(Painted)} == {
        "labels.colour": True,
        "labels.size": False,
        "shade": False,
    }


def test_a_part_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Paint(colour="red").colour = "blue"


def test_merging_changes_neither_input_and_the_second_one_wins() -> None:
    one, other = {"a": {"x": 1, "y": 1}}, {"a": {"y": 2}, "b": 3}
    assert merge(one, other) == {"a": {"x": 1, "y": 2}, "b": 3}
    assert one == {"a": {"x": 1, "y": 1}}
