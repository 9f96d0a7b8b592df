"""What all events have in common."""

from enum import StrEnum
from typing import ClassVar

from telnetsd.events.part import Part


class Event(Part):
    """The base of all events: a subclass's docstring says when it happens, its annotations what is known about it.

    Attributes:
        action: The value of `event.action`.
        reason: The value of `event.reason`; its type is the enumeration of the possible values.
        message: One sentence for people; text of a peer in it has been escaped.
    """

    WRITTEN_ELSEWHERE = frozenset({"reason", "message"})
    action: ClassVar[str]
    reason: StrEnum
    message: str
