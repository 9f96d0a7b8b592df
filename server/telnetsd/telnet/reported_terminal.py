"""What a client reports about its terminal, without I/O: the size of its screen, and its type."""

from collections.abc import Iterable
from typing import Protocol


class TerminalOwner(Protocol):
    """The owner of a terminal."""

    def on_terminal_known(self) -> None:
        """Note that the client has described its terminal, or that the terminal has changed."""


class ReportedTerminal:
    """The terminal of one client, as far as it is reported.

    Args:
        options: The options by which it is reported.
        owner: Notified once the client has answered for each of them, and of each change after that.
    """

    __slots__ = ("_options", "_owner", "_unanswered", "kind", "window")

    def __init__(self, options: Iterable[bytes], owner: TerminalOwner) -> None:
        self._options = frozenset(options)
        self._unanswered = set(self._options)
        self._owner = owner
        self.kind = ""
        """Its type; empty if it is not known."""
        self.window = (0, 0)
        """Columns and rows; 0 if they are not known."""

    def note(self, option: bytes) -> None:
        """Note that the client has reported, or refused to report, what this option is for; ignore other options."""
        self._unanswered.discard(option)
        if option in self._options and not self._unanswered:
            self._owner.on_terminal_known()
