"""The participants that control or watch the serial port of a line (RFC 2217), and what they are told of it."""

from typing import Final

from telnetsd.lines.kinds.com_port import (
    ANSWER,
    NOTIFY_MODEMSTATE,
    SET_MODEMSTATE_MASK,
    modem_notification,
)
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.lines.participants import Participant

EVERY_SIGNAL: Final = 255
"""The mask that is in effect before a client sets one (RFC 2217 section 3)."""


class ComPortClients:
    """The participants that have asked something about the port of one line."""

    def __init__(self) -> None:
        self._masks: dict[Participant, int] = {}
        self._state: int | None = None

    def ask(self, participant: Participant, question: bytes, upstream: Upstream, *, may_change: bool) -> None:
        """Answer a question; from then on a participant that has asked gets changes of the modem signals."""
        said = upstream.com_port(question, may_change=may_change)
        if said is None:
            return  # there is no port
        if not self._masks:
            self._state = _modem_state(upstream)
        self._masks.setdefault(participant, EVERY_SIGNAL)
        if question[:1] == bytes([SET_MODEMSTATE_MASK]):
            said = self._set_mask(participant, question[1:2])
        if said:
            participant.tell_com_port(said)

    def check_signals(self, upstream: Upstream | None) -> None:
        """Tell of changes since the last call; call this several times per second."""
        if not self._masks or upstream is None:
            return
        before, self._state = self._state, _modem_state(upstream)
        if before is None or self._state is None or before == self._state:
            return
        notification = modem_notification(before, self._state)
        for participant, mask in self._masks.items():
            if notification & mask:
                participant.tell_com_port(bytes([NOTIFY_MODEMSTATE + ANSWER, notification]))

    def forget(self, participant: Participant) -> None:
        """Tell a participant nothing more."""
        self._masks.pop(participant, None)

    def _set_mask(self, participant: Participant, wanted: bytes) -> bytes:
        """Set the signals of which a participant is told; a port without such signals reports none."""
        mask = 0 if self._state is None else int.from_bytes(wanted, "big")
        self._masks[participant] = mask
        return bytes([SET_MODEMSTATE_MASK + ANSWER, mask])


def _modem_state(upstream: Upstream) -> int | None:
    said = upstream.com_port(bytes([NOTIFY_MODEMSTATE]), may_change=False)
    return said[1] if said else None
