"""The catalogue as documents: a page for people, and a JSON Schema (draft 2020-12) for programs."""

from collections.abc import Iterable
from enum import EnumType
from typing import Any, Final

from telnetsd.events import reason as reasons
from telnetsd.events.catalogue import ACTIONS, Definition
from telnetsd.events.fields import ALWAYS, all_fields
from telnetsd.events.part import Schema

FIELDS: Final = {field.name: field for field in all_fields()}
"""Every field, by its name."""
PAGE_HEAD: Final = """\
# Audit events

<!-- Made by scripts/make-docs from server/telnetsd/events/: change that. -->

One JSON object per line. Names are those of the Elastic Common Schema 9.4, and `telnetsd.*` for what it lacks.
As a JSON Schema: [audit-events.schema.json](audit-events.schema.json).
"""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of one event: exactly one of the actions, with its fields and no others."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An event of telnetsd's audit log",
        "oneOf": [_action_schema(definition) for definition in ACTIONS.values()],
        "$defs": {name: {**_schema_of(name), "description": field.summary} for name, field in FIELDS.items()},
    }


def page() -> str:
    """Return docs/audit-events.md."""
    return "\n".join([PAGE_HEAD, *_always(), *_actions(), *_reasons(), *_fields()])


def _schema_of(name: str) -> Schema:
    if name == "event.action":
        return {"type": "string", "enum": sorted(ACTIONS)}
    return FIELDS[name].schema


def _action_schema(definition: Definition) -> dict[str, Any]:
    required = {*ALWAYS, *definition.required}
    schema = _object(sorted({*required, *definition.optional}), required, "")
    event = schema["properties"]["event"]["properties"]
    event["action"] = {"const": definition.event.action}
    event["category"] = {"const": list(definition.categories)}
    event["type"] = {"const": list(definition.types)}
    event["outcome"] = {"const": definition.outcome.value}
    if not definition.has_other_reasons:
        event["reason"] = {"enum": definition.reasons}
    return {"title": definition.event.action, "description": definition.summary, **schema}


def _object(names: list[str], required: set[str], path: str) -> dict[str, Any]:
    """Return the schema of the object at a path (which ends with a dot, or is empty), from the names below it."""
    properties: dict[str, Any] = {}
    for name in names:
        key = name.removeprefix(path).split(".", 1)[0]
        below = f"{path}{key}."
        if name == f"{path}{key}":
            properties[key] = {"$ref": f"#/$defs/{name}"}
        elif key not in properties:
            properties[key] = _object([one for one in names if one.startswith(below)], required, below)
    needed = {name.removeprefix(path).split(".", 1)[0] for name in required if name.startswith(path)}
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(needed),
        "additionalProperties": False,
    }


def _always() -> Iterable[str]:
    yield "## What every event has\n"
    yield "| field | what it is |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {FIELDS[name].summary} |" for name in ALWAYS)
    yield ""


def _actions() -> Iterable[str]:
    yield "## Actions\n"
    for definition in ACTIONS.values():
        yield f"### {definition.event.action}\n"
        categories, types = ", ".join(definition.categories), ", ".join(definition.types)
        yield f"{definition.summary}\n"
        yield f"- category {categories}; type {types}; outcome {definition.outcome.value}"
        others = ", or a word defined by another package" if definition.has_other_reasons else ""
        yield f"- reason: {', '.join(definition.reasons)}{others}"
        if definition.required:
            yield f"- always: {_names(definition.required)}"
        if definition.optional:
            yield f"- optional: {_names(definition.optional)}"
        if definition.is_kept:
            yield "- written later when the log cannot be written"
        yield ""


def _reasons() -> Iterable[str]:
    """Explain each reason; a word that is in several enumerations is listed with each of them."""
    yield "## Reasons\n"
    yield "Where a sentence is shown to a client, places in braces are filled from its certificate.\n"
    for kind in vars(reasons).values():
        if isinstance(kind, EnumType) and issubclass(kind, reasons.Reason) and len(kind):
            yield f"### {(kind.__doc__ or '').splitlines()[0].rstrip('.')}\n"
            yield "| reason | what it means |"
            yield "| --- | --- |"
            yield from (f"| {word.value} | {word.sentence} |" for word in kind)
            yield ""


def _fields() -> Iterable[str]:
    yield "## Fields\n"
    yield "| field | what it is |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {field.summary} |" for name, field in sorted(FIELDS.items()))
    yield ""


def _names(names: Iterable[str]) -> str:
    """Name fields; those of a certificate and of its names are one group, since they occur together."""
    shown = []
    for name in dict.fromkeys(names):
        one = "tls.client.x509.*" if name.startswith("tls.client.x509.") else name
        if one not in shown:
            shown.append(one)
    return ", ".join(f"`{one}`" for one in shown)
