"""From an event to a line's content: structlog's bound loggers, and processors that add the time and the schema.

A trail is a logger that is bound once (for a session: to its identity and source), and records events from then on.
The sink determines where the events go: straight to the file for a command line, by group commit for a server.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from telnetsd.events.catalogue import DEFINITIONS
from telnetsd.events.event import Event
from telnetsd.events.fields import DATASET, ECS_VERSION, timestamp
from telnetsd.events.part import Fields, Part, merge, to_fields

CHAIN_BYTES: Final = 200
"""The approximate number of bytes that its place in the chain adds to an event."""
_DONE: Final = "put"
_CLASSES: Final = {
    event: {
        "action": event.action,
        "category": definition.categories,
        "kind": "event",
        "type": definition.types,
        "outcome": definition.outcome.value,
        "dataset": DATASET,
    }
    for event, definition in DEFINITIONS.items()
}
"""The content of the member `event` for each kind of event, whatever the reason."""


class Sink(Protocol):
    """Where events go. The awaitable is done when the event is on disk."""

    def put(self, event: Fields) -> Awaitable[None]:
        """Accept an event; events are written in the order of the calls."""


class Trail(structlog.BoundLoggerBase):
    """A logger of audit events, bound to the fields that all of its events share."""

    def record(self, event: Event) -> Awaitable[None]:
        """Record an event.

        Returns: An awaitable that is done when the event is on disk.
        Raises:
            AuditUnavailableError: When awaited: the event could not be written.
        """
        written: Awaitable[None] = self._proxy_to_logger(_DONE, event.message, told=event)
        return written

    @property
    def fields(self) -> Fields:
        """The fields that are bound."""
        shared: Fields = self._context.get("shared", {})
        return shared

    def metered(self, meter: Callable[[int], None]) -> "Trail":
        """Return a trail that reports to `meter` how many bytes of the log each of its events uses."""
        trail: Trail = self.bind(meter=meter)
        return trail

    def bound_to(self, *parts: Part) -> "Trail":
        """Return a trail whose events also have these parts."""
        return self.with_fields(to_fields(*parts))

    def with_fields(self, fields: Fields) -> "Trail":
        """Return a trail whose events also have the fields of another trail, possibly of another process."""
        trail: Trail = self.bind(shared=merge(self.fields, fields))
        return trail


def make_trail(sink: Sink) -> Trail:
    """Return a trail without bound fields."""
    trail: Trail = structlog.wrap_logger(sink, processors=[_add_time, _add_schema], wrapper_class=Trail).bind()
    return trail


def make_event(event: Event, shared: Fields | None = None) -> Fields:
    """Return an event as it is in the log, for a writer without a sink; `shared` has the other fields of its line."""
    return _to_ecs(event, datetime.now(UTC), shared or {})


def _add_time(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    event_dict["at"] = datetime.now(UTC)
    return event_dict


def _add_schema(_: WrappedLogger, __: str, event_dict: EventDict) -> tuple[tuple[Fields], dict[str, Any]]:
    event = _to_ecs(event_dict["told"], event_dict["at"], event_dict.get("shared", {}))
    if "meter" in event_dict:
        event_dict["meter"](len(msgspec.json.encode(event)) + CHAIN_BYTES)
    return (event,), {}


def _to_ecs(event: Event, at: datetime, shared: Fields) -> Fields:
    # The chain requires this order of the first two members: see audit.chain.
    begun: Fields = {
        "@timestamp": timestamp(at),
        "event": {**_CLASSES[type(event)], "reason": event.reason.value},
        "message": event.message,
        "ecs": {"version": ECS_VERSION},
    }
    return merge(merge(begun, shared), to_fields(event))
