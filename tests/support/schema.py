"""Checking events against the schema of the audit log."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from telnetsd.audit.chain import ChainError, read_link
from telnetsd.audit.reading.row import read_event
from telnetsd.events.catalogue import ACTIONS
from telnetsd.events.documents import FIELDS
from telnetsd.events.fields import ALWAYS
from telnetsd.events.part import Schema

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def judge_file(path: Path) -> Iterator[str]:
    """Report what is wrong with the events of a file; lines that a test has damaged are skipped."""
    content = path.read_bytes() if path.is_file() else b""
    for line in content.split(b"\n"):
        try:
            read_link(line)
        except ChainError:
            continue
        yield from (f"{path.parent.parent.name}: {problem}" for problem in judge(read_event(line)))


def judge(event: Mapping[str, Any]) -> Iterator[str]:
    """Report what is wrong with an event."""
    action = event["event"]["action"]
    definition, present = ACTIONS[action], dict(flatten(event))
    known = {*ALWAYS, *definition.required, *definition.optional}
    yield from (f"{action}: has {name}" for name in present.keys() - known)
    yield from (f"{action}: has no {name}" for name in {*ALWAYS, *definition.required} - present.keys())
    yield from (
        f"{action}: {name} is {present[name]!r}"
        for name in present.keys() & known
        if not fits(present[name], FIELDS[name].schema)
    )
    shape = (event["event"]["category"], event["event"]["type"], event["event"]["outcome"])
    if shape != (list(definition.categories), list(definition.types), definition.outcome):
        yield f"{action}: is classed as {shape}"
    reason = event["event"]["reason"]
    if reason not in definition.reasons and not definition.has_other_reasons:
        yield f"{action}: has the reason {reason}"


def flatten(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every member of an object, by its dotted name."""
    for key, member in value.items():
        name = f"{path}{key}"
        if isinstance(member, dict):
            yield from flatten(member, f"{name}.")
        else:
            yield name, member


def fits(value: Any, schema: Schema) -> bool:
    """Tell whether a value matches a schema, for the few words of JSON Schema that the log's schema uses."""
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    if "items" in schema:
        return isinstance(value, list) and all(fits(one, schema["items"]) for one in value)
    if type(value) not in _TYPES[schema["type"]]:
        return False
    if "minimum" in schema and value < schema["minimum"]:
        return False
    return "pattern" not in schema or re.search(schema["pattern"], str(value)) is not None
