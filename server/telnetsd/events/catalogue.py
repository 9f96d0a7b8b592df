"""The catalogue: one row per event, with its Elastic Common Schema values and the other parts that its line has.

The docstring of an event's struct says when the event happens; the struct's annotations list its reasons and fields.
The rows determine how an event is written, whether it is kept while the log cannot be written, and its documents.
"""

import inspect
import types
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum
from functools import cached_property
from itertools import chain
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from telnetsd.events import of_changes as c
from telnetsd.events import of_sessions as s
from telnetsd.events import of_the_fleet as n
from telnetsd.events import of_the_server as o
from telnetsd.events.context import CertificatePart, LinePart, OperatorPart, SessionPart, SignaturePart, SourcePart
from telnetsd.events.event import Event
from telnetsd.events.fields import Outcome
from telnetsd.events.part import Part, slots_of

SUCCESS: Final = Outcome.SUCCESS
FAILURE: Final = Outcome.FAILURE


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One row of the catalogue.

    Attributes:
        event: The struct.
        categories: event.category.
        types: event.type.
        outcome: event.outcome.
        always: Other parts that every line of it has: those to which the trail is bound.
        sometimes: Other parts that a line of it may have.
        is_kept: Whether it is written later when the log cannot be written. Such an event records what has already
            happened; the others record what is refused in that case.
    """

    event: type[Event]
    categories: tuple[str, ...]
    types: tuple[str, ...]
    outcome: Outcome
    always: tuple[type[Part], ...] = ()
    sometimes: tuple[type[Part], ...] = ()
    is_kept: bool = False

    @property
    def summary(self) -> str:
        """When it happens, as a phrase."""
        text = " ".join((inspect.getdoc(self.event) or "").split())
        return f"{text[:1].lower()}{text[1:]}".removesuffix(".")

    @cached_property
    def reasons(self) -> list[str]:
        """The possible values of event.reason, sorted."""
        return sorted({word.value for word in _words_of(get_type_hints(self.event)["reason"])})

    @cached_property
    def has_other_reasons(self) -> bool:
        """Whether event.reason may also be a value that another package defines."""
        return StrEnum in get_args(get_type_hints(self.event)["reason"])

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The fields that it always has, besides those of every event."""
        of_parts = (slots_of(part) for part in (self.event, *self.always))
        return tuple(dict.fromkeys(slot.field.name for slot in chain.from_iterable(of_parts) if slot.is_required))

    @cached_property
    def optional(self) -> tuple[str, ...]:
        """The fields that it may have."""
        of_parts = (slots_of(part) for part in (self.event, *self.always, *self.sometimes))
        names = dict.fromkeys(slot.field.name for slot in chain.from_iterable(of_parts))
        return tuple(name for name in names if name not in self.required)


def _words_of(hint: Any) -> Iterator[Enum]:  # noqa: ANN401 -- a type annotation
    """Yield the members that an annotation of a reason names: one by one, or whole enumerations."""
    if get_origin(hint) in {Union, types.UnionType}:
        yield from chain.from_iterable(_words_of(one) for one in get_args(hint))
    elif get_origin(hint) is Literal:
        yield from get_args(hint)
    else:
        yield from hint


_OF_SESSION: Final = (SessionPart,)
_OF_LINE: Final = (LinePart,)
_ON_LINE: Final = (SessionPart, LinePart)
_CHANGED_BY: Final = (OperatorPart, SessionPart)
"""A change is made by an operator, or for a user in a session."""


def _change(event: type[Event], category: str, *kinds: str) -> Definition:
    """Define the event of a change that was made to the installation."""
    return Definition(event=event, categories=(category,), types=kinds, outcome=SUCCESS, sometimes=_CHANGED_BY)


DEFINITIONS: Final = {
    row.event: row
    for row in (
        Definition(
            event=s.SessionStarted,
            categories=("authentication", "session"),
            types=("start",),
            outcome=SUCCESS,
            always=_OF_SESSION,
        ),
        Definition(
            event=s.SessionContinued,
            categories=("session",),
            types=("info",),
            outcome=SUCCESS,
            always=_OF_SESSION,
            sometimes=(CertificatePart,),
        ),
        Definition(
            event=s.SessionEnded,
            categories=("session",),
            types=("end",),
            outcome=SUCCESS,
            always=_OF_SESSION,
            is_kept=True,
        ),
        Definition(
            event=s.SessionRefused,
            categories=("authentication",),
            types=("start",),
            outcome=FAILURE,
            always=(),
            sometimes=_OF_SESSION,
            is_kept=True,
        ),
        Definition(
            event=s.SessionKicked, categories=("session",), types=("end",), outcome=SUCCESS, always=_OF_SESSION
        ),
        Definition(
            event=s.SessionWatched, categories=("session",), types=("info",), outcome=SUCCESS, always=_OF_SESSION
        ),
        Definition(
            event=s.SessionSlowed, categories=("session",), types=("info",), outcome=SUCCESS, always=_OF_SESSION
        ),
        Definition(
            event=s.GuestsRefused,
            categories=("network",),
            types=("denied",),
            outcome=FAILURE,
            always=(),
            sometimes=(SourcePart,),
        ),
        Definition(
            event=s.HandshakeFailed,
            categories=("network",),
            types=("connection", "denied"),
            outcome=FAILURE,
            always=(),
            sometimes=(SourcePart,),
            is_kept=True,
        ),
        Definition(
            event=s.ConnectionRefused,
            categories=("network",),
            types=("connection", "denied"),
            outcome=FAILURE,
            always=(),
            sometimes=(SourcePart,),
        ),
        Definition(
            event=s.CommandExecuted, categories=("api",), types=("allowed",), outcome=SUCCESS, always=_OF_SESSION
        ),
        Definition(
            event=s.CommandDenied, categories=("api",), types=("denied",), outcome=FAILURE, always=_OF_SESSION
        ),
        Definition(
            event=s.CommandFailed,
            categories=("api",),
            types=("end",),
            outcome=FAILURE,
            always=_OF_SESSION,
            is_kept=True,
        ),
        Definition(
            event=s.LineConnected,
            categories=("session", "network"),
            types=("start",),
            outcome=SUCCESS,
            always=_ON_LINE,
        ),
        Definition(
            event=s.LineDisconnected,
            categories=("session", "network"),
            types=("end",),
            outcome=SUCCESS,
            always=_ON_LINE,
            is_kept=True,
        ),
        Definition(
            event=s.LineUp,
            categories=("network",),
            types=("connection", "start"),
            outcome=SUCCESS,
            always=_OF_LINE,
            is_kept=True,
        ),
        Definition(
            event=s.LineDown,
            categories=("network",),
            types=("connection", "end"),
            outcome=FAILURE,
            always=_OF_LINE,
            is_kept=True,
        ),
        Definition(
            event=s.LineLogGap,
            categories=("file",),
            types=("info",),
            outcome=FAILURE,
            always=_OF_LINE,
            is_kept=True,
        ),
        Definition(
            event=s.LineAlert,
            categories=("network",),
            types=("info",),
            outcome=SUCCESS,
            always=_OF_LINE,
            is_kept=True,
        ),
        Definition(
            event=s.LineCommandTyped,
            categories=("session",),
            types=("info",),
            outcome=SUCCESS,
            always=_ON_LINE,
            is_kept=True,
        ),
        Definition(
            event=s.LineFullScreen,
            categories=("session",),
            types=("info",),
            outcome=SUCCESS,
            always=_ON_LINE,
            is_kept=True,
        ),
        Definition(
            event=s.RecordingClosed,
            categories=("file",),
            types=("creation",),
            outcome=SUCCESS,
            always=_OF_LINE,
            sometimes=_OF_SESSION,
            is_kept=True,
        ),
        Definition(
            event=s.RecordingRemoved, categories=("file",), types=("deletion",), outcome=SUCCESS, always=_OF_LINE
        ),
        _change(c.CertificateIssued, "iam", "creation"),
        _change(c.CertificateRenewed, "iam", "creation"),
        _change(c.CertificateRevoked, "iam", "deletion"),
        _change(c.CertificateRestored, "iam", "change"),
        _change(c.PinAdded, "iam", "creation"),
        _change(c.PinRevoked, "iam", "deletion"),
        _change(c.PinRestored, "iam", "change"),
        _change(c.UserAdded, "iam", "user", "creation"),
        _change(c.UserChanged, "iam", "user", "change"),
        _change(c.UserRenamed, "iam", "user", "change"),
        _change(c.UserRemoved, "iam", "user", "deletion"),
        _change(c.EnrolmentRequested, "iam", "creation"),
        _change(c.EnrolmentApproved, "iam", "admin", "change"),
        _change(c.EnrolmentDenied, "iam", "admin", "deletion"),
        _change(c.EnrolmentCollected, "iam", "info"),
        _change(c.EnrolmentExpired, "iam", "deletion"),
        _change(c.TrustAnchorAdded, "configuration", "creation"),
        _change(c.TrustAnchorRemoved, "configuration", "deletion"),
        _change(c.CaRotated, "configuration", "change"),
        _change(c.CaRetired, "configuration", "deletion"),
        _change(c.CrlIssued, "configuration", "change"),
        Definition(
            event=c.CrlRejected, categories=("configuration",), types=("info",), outcome=FAILURE, is_kept=True
        ),
        _change(c.InstallationBackedUp, "configuration", "access"),
        _change(c.InstallationRestored, "configuration", "change"),
        Definition(event=c.ChangeUndone, categories=("configuration",), types=("change",), outcome=FAILURE),
        Definition(event=o.ServerStarted, categories=("process",), types=("start",), outcome=SUCCESS),
        Definition(event=o.ServerStopped, categories=("process",), types=("end",), outcome=SUCCESS),
        Definition(event=o.ServerReloaded, categories=("configuration",), types=("change",), outcome=SUCCESS),
        Definition(
            event=o.ReloadFailed, categories=("configuration",), types=("info",), outcome=FAILURE, is_kept=True
        ),
        Definition(
            event=o.AuditCheckpoint, categories=("file",), types=("info",), outcome=SUCCESS, always=(SignaturePart,)
        ),
        Definition(event=o.AuditRecovered, categories=("file",), types=("change",), outcome=SUCCESS),
        Definition(event=o.AuditDamaged, categories=("file",), types=("info",), outcome=FAILURE),
        Definition(event=o.AuditPruned, categories=("file",), types=("deletion",), outcome=SUCCESS),
        Definition(
            event=o.AuditKeyChanged,
            categories=("configuration",),
            types=("change",),
            outcome=SUCCESS,
            always=(OperatorPart,),
        ),
        Definition(event=o.AuditNotShipped, categories=("network",), types=("info",), outcome=FAILURE, is_kept=True),
        Definition(
            event=o.CertificateExpiring, categories=("configuration",), types=("info",), outcome=FAILURE, is_kept=True
        ),
        Definition(
            event=o.NotificationFailed, categories=("network",), types=("info",), outcome=FAILURE, is_kept=True
        ),
        Definition(event=n.FleetChangeApplied, categories=("configuration",), types=("change",), outcome=SUCCESS),
        Definition(event=n.FleetChangeRefused, categories=("configuration",), types=("info",), outcome=FAILURE),
        Definition(
            event=n.FleetStopped, categories=("configuration",), types=("info",), outcome=FAILURE, is_kept=True
        ),
        _change(n.FleetFounded, "configuration", "creation"),
        _change(n.FleetNodeInvited, "configuration", "creation"),
        _change(n.FleetNodeAdmitted, "configuration", "change"),
        _change(n.FleetNodeRevoked, "configuration", "deletion"),
    )
}
"""Every event."""

ACTIONS: Final = {event.action: definition for event, definition in DEFINITIONS.items()}
"""The rows, by the value of `event.action`."""
