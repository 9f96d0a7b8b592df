"""What all events have in common."""

from enum import StrEnum
from typing import ClassVar

from telnetsd.events.part import Part


class Event(Part):
    """Something that happened: a subclass says in its docstring when, and by its annotations what is known of it.

    Attributes:
        action: The word of `event.action`.
        reason: The word of `event.reason`; its type is the enumeration of what it may be.
        message: One sentence for people; text of a peer in it has been escaped.
    """

    action: ClassVar[str]
    reason: StrEnum
    message: str
