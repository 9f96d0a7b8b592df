"""From a fact to an event: structlog's bound loggers, and the processors that give events their time and schema.

A trail is a logger that is bound once (for a session: with who it is and where from), and told facts from then on.
Where the events go is the sink's matter: straight to the file for a command line, by group commit for a server.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import msgspec
import structlog
from structlog.typing import EventDict, WrappedLogger

from telnetsd.audit.event import DATASET, ECS_VERSION, Action, Fields, merge, timestamp
from telnetsd.audit.reason import Reason
from telnetsd.audit.schema import DEFINITIONS

CHAIN_BYTES: Final = 200
"""What its place in the chain adds to an event, about."""
_DONE: Final = "put"
_EVENTS: Final = {
    action: {
        "action": action.value,
        "category": definition.categories,
        "kind": "event",
        "type": definition.types,
        "outcome": definition.outcome.value,
        "dataset": DATASET,
    }
    for action, definition in DEFINITIONS.items()
}
"""What `event` says of an action, whatever the reason."""


class Sink(Protocol):
    """Where events go. The awaitable is done when the event is on disk."""

    def put(self, event: Fields) -> Awaitable[None]:
        """Take an event, to be written in the order of the calls."""


class Trail(structlog.BoundLoggerBase):
    """A logger of audit events, bound to the fields that all of its events share."""

    def record(self, action: Action, reason: StrEnum, message: str, **fields: Any) -> Awaitable[None]:  # noqa: ANN401
        """Tell what happened.

        Args:
            action: What it was.
            reason: Why, as an enumerated word.
            message: One sentence for people; text of a peer in it has been escaped.
            fields: Further ECS objects, merged into those that are bound.
        Returns: An awaitable that is done when the event is on disk.
        Raises:
            AuditUnavailableError: When awaited: the event could not be written.
        """
        written: Awaitable[None] = self._proxy_to_logger(_DONE, message, action=action, reason=reason, fields=fields)
        return written

    @property
    def fields(self) -> Fields:
        """The fields that are bound."""
        shared: Fields = self._context.get("shared", {})
        return shared

    def metered(self, meter: Callable[[int], None]) -> "Trail":
        """Return a trail that tells how many bytes of the log each of its events takes."""
        trail: Trail = self.bind(meter=meter)
        return trail

    def with_fields(self, fields: Fields) -> "Trail":
        """Return a trail whose events have these fields as well."""
        bound: Fields = merge(self._context.get("shared", {}), fields)
        trail: Trail = self.bind(shared=bound)
        return trail


def make_trail(sink: Sink) -> Trail:
    """Return a trail that is bound to nothing yet."""
    trail: Trail = structlog.wrap_logger(sink, processors=[_add_time, _add_schema], wrapper_class=Trail).bind()
    return trail


def make_event(action: Action, message: str, fields: Fields | None = None, reason: StrEnum = Reason.OK) -> Fields:
    """Return an event that belongs to no session, for who appends to the log without a sink."""
    now = datetime.now(UTC)
    return _to_ecs({"event": message, "action": action, "reason": reason, "fields": fields or {}, "at": now})


def _add_time(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    event_dict["at"] = datetime.now(UTC)
    return event_dict


def _add_schema(_: WrappedLogger, __: str, event_dict: EventDict) -> tuple[tuple[Fields], dict[str, Any]]:
    event = _to_ecs(event_dict)
    if "meter" in event_dict:
        event_dict["meter"](len(msgspec.json.encode(event)) + CHAIN_BYTES)
    return (event,), {}


def _to_ecs(event_dict: EventDict) -> Fields:
    # The order of the first two members is the chain's: see audit.chain.
    event: Fields = {
        "@timestamp": timestamp(event_dict["at"]),
        "event": {**_EVENTS[event_dict["action"]], "reason": event_dict["reason"].value},
        "message": event_dict["event"],
        "ecs": {"version": ECS_VERSION},
    }
    return merge(merge(event, event_dict.get("shared", {})), event_dict["fields"])
