"""What a client reports about its terminal, without I/O: the size of its screen, and its type."""

from typing import Protocol

from telnetlib3.telopt import NAWS, TTYPE


class TerminalOwner(Protocol):
    """The owner of a terminal."""

    def on_terminal_known(self) -> None:
        """Note that the client has described its terminal, or that the terminal has changed."""


class ReportedTerminal:
    """The terminal of one client, as far as it is reported.

    Args:
        owner: Notified once the client has answered both questions, and of each change after that.
    """

    __slots__ = ("_owner", "_unanswered", "kind", "window")

    def __init__(self, owner: TerminalOwner) -> None:
        self._unanswered = {NAWS, TTYPE}
        self._owner = owner
        self.kind = ""
        """Its type; empty if it is not known."""
        self.window = (0, 0)
        """Columns and rows; 0 if they are not known."""

    @property
    def is_known(self) -> bool:
        """Whether the client has answered both questions."""
        return not self._unanswered

    def note_window(self, rows: int, columns: int) -> None:
        """Note the size of its screen (RFC 1073)."""
        self.window = (columns, rows)
        self.note_answer(NAWS)

    def note_kind(self, name: str) -> None:
        """Note its type (RFC 1091)."""
        self.kind = name
        self.note_answer(TTYPE)

    def note_answer(self, option: bytes) -> None:
        """Note that the client has reported, or refused to report, what an option is for; ignore other options."""
        self._unanswered.discard(option)
        if option in {NAWS, TTYPE} and self.is_known:
            self._owner.on_terminal_known()
