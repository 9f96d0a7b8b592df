"""The catalogue: one row an event, with what the Elastic Common Schema calls it and what else its line has.

When an event happens is in the docstring of its struct; its reasons and fields are in the struct's annotations. How
an event is written, whether it is kept while the log cannot be written, and its documents come from the rows.
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
from telnetsd.events import of_the_server as o
from telnetsd.events.context import Certificate, Line, Operator, Session, Signature, Source
from telnetsd.events.event import Event
from telnetsd.events.fields import Outcome
from telnetsd.events.part import Part, slots_of

SUCCESS: Final = Outcome.SUCCESS
FAILURE: Final = Outcome.FAILURE


@dataclass(frozen=True)
class Definition:
    """One row.

    Attributes:
        event: The struct.
        categories: event.category.
        types: event.type.
        outcome: event.outcome.
        always: Parts that stand beside it on every line: what the trail is bound to.
        sometimes: Parts that may stand beside it.
        is_kept: Whether it is written later when the log cannot be written: it tells of what has happened already,
            where others record what is refused in that case.
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
        """The words that event.reason may be, in order."""
        return sorted({word.value for word in _words_of(get_type_hints(self.event)["reason"])})

    @cached_property
    def has_other_reasons(self) -> bool:
        """Whether event.reason may be a word of another package as well."""
        return StrEnum in get_args(get_type_hints(self.event)["reason"])

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The fields that it always has, beside those of every event."""
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


_OF_SESSION: Final = (Session,)
_ON_LINE: Final = (Session, Line)
_CHANGED_BY: Final = (Operator, Session)
"""A change is made by an operator, or for a user in a session."""


def _change(event: type[Event], category: str, *kinds: str) -> Definition:
    """Define a change of the installation that was made."""
    return Definition(event, (category,), kinds, SUCCESS, sometimes=_CHANGED_BY)


DEFINITIONS: Final = {
    row.event: row
    for row in (
        Definition(s.SessionStarted, ("authentication", "session"), ("start",), SUCCESS, _OF_SESSION),
        Definition(s.SessionContinued, ("session",), ("info",), SUCCESS, _OF_SESSION, (Certificate,)),
        Definition(s.SessionEnded, ("session",), ("end",), SUCCESS, _OF_SESSION, is_kept=True),
        Definition(s.SessionRefused, ("authentication",), ("start",), FAILURE, (), _OF_SESSION, is_kept=True),
        Definition(s.SessionKicked, ("session",), ("end",), SUCCESS, _OF_SESSION),
        Definition(s.SessionWatched, ("session",), ("info",), SUCCESS, _OF_SESSION),
        Definition(s.SessionSlowed, ("session",), ("info",), SUCCESS, _OF_SESSION),
        Definition(s.GuestsRefused, ("network",), ("denied",), FAILURE, (), (Source,)),
        Definition(s.HandshakeFailed, ("network",), ("connection", "denied"), FAILURE, (), (Source,), is_kept=True),
        Definition(s.ConnectionRefused, ("network",), ("connection", "denied"), FAILURE, (), (Source,)),
        Definition(s.CommandExecuted, ("api",), ("allowed",), SUCCESS, _OF_SESSION),
        Definition(s.CommandDenied, ("api",), ("denied",), FAILURE, _OF_SESSION),
        Definition(s.CommandFailed, ("api",), ("end",), FAILURE, _OF_SESSION, is_kept=True),
        Definition(s.LineConnected, ("session", "network"), ("start",), SUCCESS, _ON_LINE),
        Definition(s.LineDisconnected, ("session", "network"), ("end",), SUCCESS, _ON_LINE, is_kept=True),
        Definition(s.RecordingClosed, ("file",), ("creation",), SUCCESS, _ON_LINE, is_kept=True),
        _change(c.CertificateIssued, "iam", "creation"),
        _change(c.CertificateRenewed, "iam", "creation"),
        _change(c.CertificateRevoked, "iam", "deletion"),
        _change(c.CertificateRestored, "iam", "change"),
        _change(c.PinAdded, "iam", "creation"),
        _change(c.PinRevoked, "iam", "deletion"),
        _change(c.PinRestored, "iam", "change"),
        _change(c.UserAdded, "iam", "user", "creation"),
        _change(c.UserChanged, "iam", "user", "change"),
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
        Definition(c.CrlRejected, ("configuration",), ("info",), FAILURE, is_kept=True),
        Definition(c.ChangeUndone, ("configuration",), ("change",), FAILURE),
        Definition(o.ServerStarted, ("process",), ("start",), SUCCESS),
        Definition(o.ServerStopped, ("process",), ("end",), SUCCESS),
        Definition(o.ServerReloaded, ("configuration",), ("change",), SUCCESS),
        Definition(o.ReloadFailed, ("configuration",), ("info",), FAILURE, is_kept=True),
        Definition(o.AuditCheckpoint, ("file",), ("info",), SUCCESS, (Signature,)),
        Definition(o.AuditRecovered, ("file",), ("change",), SUCCESS),
        Definition(o.AuditDamaged, ("file",), ("info",), FAILURE),
        Definition(o.AuditPruned, ("file",), ("deletion",), SUCCESS),
        Definition(o.AuditKeyChanged, ("configuration",), ("change",), SUCCESS, (Operator,)),
        Definition(o.AuditNotShipped, ("network",), ("info",), FAILURE, is_kept=True),
    )
}
"""Every event."""

ACTIONS: Final = {event.action: definition for event, definition in DEFINITIONS.items()}
"""The rows, by the word of `event.action`."""
