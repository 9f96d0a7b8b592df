"""The schema: its documents, its names, and that it refuses invalid events."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from support.schema import judge
from telnetsd.events import of_changes, of_sessions, of_the_server
from telnetsd.events.catalogue import ACTIONS, DEFINITIONS
from telnetsd.events.documents import FIELDS, json_schema, page
from telnetsd.events.event import Event
from telnetsd.events.fields import ALWAYS
from telnetsd.events.part import slots_of
from telnetsd.events.reason import AdmissionReason

DOCS = Path(__file__).resolve().parents[3] / "docs"
ECS_TYPES_OF = {
    "api": {"access", "admin", "allowed", "change", "creation", "deletion", "denied", "end", "info", "start", "user"},
    "authentication": {"start", "end", "info"},
    "configuration": {"access", "change", "creation", "deletion", "info"},
    "file": {"access", "change", "creation", "deletion", "info"},
    "iam": {"admin", "change", "creation", "deletion", "group", "info", "user"},
    "network": {"access", "allowed", "connection", "denied", "end", "info", "protocol", "start"},
    "process": {"access", "change", "end", "info", "start"},
    "session": {"start", "end", "info"},
}
"""The event types that ECS expects of each category."""
ECS_X509_NAME = {"common_name", "country", "distinguished_name", "locality", "organization", "organizational_unit"}
ECS_X509_NAME |= {"state_or_province"}
ECS_X509 = {"alternative_names", "not_after", "not_before", "public_key_algorithm", "public_key_size"}
ECS_X509 |= {"serial_number", "signature_algorithm", "version_number"}
ECS_X509 |= {f"{whose}.{name}" for whose in ("issuer", "subject") for name in ECS_X509_NAME}
ECS_FIELDS = {
    *("@timestamp", "message", "ecs.version", "file.name", "rule.id", "source.ip", "source.port"),
    *(f"event.{name}" for name in ("action", "category", "dataset", "hash", "kind", "outcome", "reason")),
    *(
        "event.sequence",
        "event.type",
        "user.changes.name",
        "user.name",
        "user.roles",
        "user.target.name",
        "user.target.roles",
    ),
    *(f"tls.{name}" for name in ("cipher", "curve", "resumed", "version", "version_protocol")),
    *("tls.client.hash.sha256", "tls.client.issuer", "tls.client.server_name", "tls.client.subject"),
    *("tls.server.hash.sha256",),
    *(f"tls.client.x509.{name}" for name in ECS_X509),
}
"""The names of ECS that are used here, as in its reference."""

EVENT: dict[str, Any] = {
    "@timestamp": "2026-11-25T16:28:43.663323Z",
    "ecs": {"version": "9.4.0"},
    "message": "the server listens on 127.0.0.1:9992",
    "event": {
        "hash": "0" * 64,
        "action": "server-started",
        "category": ["process"],
        "kind": "event",
        "type": ["start"],
        "outcome": "success",
        "reason": "started",
        "dataset": "telnetsd.audit",
        "sequence": 1,
    },
    "telnetsd": {"chain": {"previous": "0" * 64}},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(json.dumps(EVENT))
    inner, (*keys, last) = event, path.split(".")
    for key in keys:
        inner = inner.setdefault(key, {})
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return event


def test_every_event_has_a_row_in_the_catalogue() -> None:
    values = [one for module in (of_changes, of_sessions, of_the_server) for one in vars(module).values()]
    declared = {one for one in values if isinstance(one, type) and issubclass(one, Event) and "action" in vars(one)}
    missing = sorted(one.__name__ for one in declared - set(DEFINITIONS))
    assert not missing, f"add a row to events/catalogue.py for {', '.join(missing)}"


def test_an_attribute_of_a_plain_type_is_refused() -> None:
    class Paused(Event):
        action = "session-paused"
        reason: AdmissionReason
        pause_s: float

    with pytest.raises(TypeError, match=r"Paused\.pause_s is no field: declare one in events/fields\.py"):
        slots_of(Paused)


def test_every_action_uses_defined_fields_and_every_field_is_used() -> None:
    used = {name for one in DEFINITIONS.values() for name in (*one.required, *one.optional)} | set(ALWAYS)
    assert used == set(FIELDS)


def test_field_names_are_those_of_ecs_except_for_telnetsd() -> None:
    assert {name for name in FIELDS if not name.startswith("telnetsd.")} == ECS_FIELDS


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_classified_as_ecs_expects(action: str) -> None:
    definition = ACTIONS[action]
    allowed = set().union(*(ECS_TYPES_OF[category] for category in definition.categories))
    assert set(definition.types) <= allowed


def test_the_documents_of_events_match_the_code() -> None:
    """To update them, run scripts/make-docs."""
    assert (DOCS / "audit-events.md").read_text() == page()
    assert json.loads((DOCS / "audit-events.schema.json").read_text()) == json_schema()


def test_the_json_schema_is_valid_and_accepts_an_event() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    validator.check_schema(json_schema())
    validator.validate(EVENT)
    assert list(judge(EVENT)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("message", None),
        ("message", 7),
        ("event.hash", None),
        ("event.hash", "0" * 63),
        ("event.sequence", 0),
        ("event.sequence", "1"),
        ("event.sequence", True),
        ("event.kind", "alert"),
        ("event.reason", "because I say so"),
        ("event.reason", "signal-of-another-kind"),
        ("event.outcome", "failure"),
        ("event.category", ["session"]),
        ("event.type", []),
        ("event.severity", 3),
        ("@timestamp", "2026-11-25T16:28:43Z"),
        ("user.name", "bob"),
        ("telnetsd.session.id", "1"),
        ("telnetsd.chain.next", "0"),
        ("labels.colour", "red"),
    ],
)
def test_an_invalid_event_is_refused_by_both_forms_of_the_schema(path: str, value: Any) -> None:
    event = changed(path, value)
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(event)
    assert list(judge(event)) != []
