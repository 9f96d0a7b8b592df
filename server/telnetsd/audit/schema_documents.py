"""The schema of the audit log as documents: a page for people, and a JSON Schema (draft 2020-12) for programs."""

from collections.abc import Iterable
from typing import Any

from telnetsd.audit.event import Action
from telnetsd.audit.schema import ALWAYS, DEFINITIONS, FIELDS, Definition

PAGE_HEAD = """\
# Audit events

<!-- Made by scripts/make-docs from server/telnetsd/audit/schema.py: change that. -->

One JSON object a line. Names are those of the Elastic Common Schema 9.4, and `telnetsd.*` for what it lacks.
As a JSON Schema: [audit-events.schema.json](audit-events.schema.json).
"""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of one event: exactly one of the actions, with its fields and no others."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An event of telnetsd's audit log",
        "oneOf": [_action_schema(action, definition) for action, definition in DEFINITIONS.items()],
        "$defs": {name: {**field.schema, "description": field.summary} for name, field in FIELDS.items()},
    }


def page() -> str:
    """Return docs/audit-events.md."""
    return "\n".join([PAGE_HEAD, *_always(), *_actions(), *_fields()])


def _action_schema(action: Action, definition: Definition) -> dict[str, Any]:
    required = {*ALWAYS, *definition.required}
    schema = _object(sorted({*required, *definition.optional}), required, "")
    event = schema["properties"]["event"]["properties"]
    event["action"] = {"const": action.value}
    event["category"] = {"const": list(definition.categories)}
    event["type"] = {"const": list(definition.types)}
    event["outcome"] = {"const": definition.outcome.value}
    if not definition.has_other_reasons:
        event["reason"] = {"enum": definition.words()}
    return {"title": action.value, "description": definition.summary, **schema}


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
    for action, definition in DEFINITIONS.items():
        yield f"### {action.value}\n"
        categories, types = ", ".join(definition.categories), ", ".join(definition.types)
        yield f"{definition.summary}\n"
        yield f"- category {categories}; type {types}; outcome {definition.outcome.value}"
        others = ", or a word of another package" if definition.has_other_reasons else ""
        yield f"- reason: {', '.join(definition.words())}{others}"
        if definition.required:
            yield f"- always: {_names(definition.required)}"
        if definition.optional:
            yield f"- maybe: {_names(definition.optional)}"
        yield ""


def _fields() -> Iterable[str]:
    yield "## Fields\n"
    yield "| field | what it is |"
    yield "| --- | --- |"
    yield from (f"| `{name}` | {field.summary} |" for name, field in sorted(FIELDS.items()))
    yield ""


def _names(names: Iterable[str]) -> str:
    """Name fields; those of a certificate and its names as a group, since they come together."""
    shown = []
    for name in dict.fromkeys(names):
        one = "tls.client.x509.*" if name.startswith("tls.client.x509.") else name
        if one not in shown:
            shown.append(one)
    return ", ".join(f"`{one}`" for one in shown)
