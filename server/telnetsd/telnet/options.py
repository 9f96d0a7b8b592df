"""The state of telnet options on one side of a connection, without I/O (RFC 854, RFC 1143).

There is one of these for what we do (WILL, WONT) and one for what the peer does (DO, DONT). Each request for a change
is answered: accepted, or refused as often as it comes. Each disabling is acknowledged. A request for the state that
an option already has is not answered, so that two implementations never answer each other forever.

RFC 1143 waits for the acknowledgement of a disabling before the option may be offered again. Some peers never send
one, so a disabling is complete here as soon as it is sent. An acknowledgement that comes late then looks like a
refusal of the next offer; the agreement that follows it enables the option all the same. Two ends that both do so
could answer each other forever; so the peer can enable an option only a limited number of times.
"""

from collections import Counter
from enum import Enum, auto
from typing import Final

ENABLED_MAX: Final = 16
"""How many times the peer may enable an option by a request of its own: a client does so once."""


class _State(Enum):
    NO = auto()
    YES = auto()
    WANT_YES = auto()
    """We have asked for it, and there is no answer yet."""
    WANT_YES_THEN_NO = auto()
    """We have asked for it and changed our mind, and there is no answer yet."""


class OptionStates:
    """The options of one side.

    Args:
        enable: The command with which we enable an option on this side: WILL or DO.
        disable: The command with which we disable or refuse one: WONT or DONT.
    """

    __slots__ = ("_disable", "_enable", "_enabled", "_states")

    def __init__(self, enable: bytes, disable: bytes) -> None:
        self._enable = enable
        self._disable = disable
        self._states: dict[bytes, _State] = {}
        self._enabled: Counter[bytes] = Counter()

    def is_on(self, option: bytes) -> bool:
        """Tell whether an option is enabled."""
        return self._states.get(option) is _State.YES

    def ask_on(self, option: bytes) -> bytes:
        """Enable an option if the peer agrees; return the command to send, empty if none is needed."""
        state = self._state_of(option)
        if state is _State.YES:
            return b""
        self._states[option] = _State.WANT_YES
        return self._enable if state is _State.NO else b""

    def ask_off(self, option: bytes) -> bytes:
        """Disable an option; return the command to send, empty if none is needed now."""
        state = self._state_of(option)
        if state is _State.YES:
            self._states[option] = _State.NO
            return self._disable
        if state is _State.WANT_YES:
            self._states[option] = _State.WANT_YES_THEN_NO
        return b""

    def receive_on(self, option: bytes, *, agrees: bool) -> bytes:
        """Process the peer's request to enable an option, or its agreement to that.

        Args:
            option: The option.
            agrees: Whether we agree, if this is a request.
        Returns: The command to answer with, empty if none is needed.
        """
        match self._state_of(option):
            case _State.YES:
                return b""
            case _State.WANT_YES:
                self._states[option] = _State.YES
                return b""
            case _State.WANT_YES_THEN_NO:
                self._states[option] = _State.NO
                return self._disable
            case _State.NO:
                if not agrees or self._enabled[option] >= ENABLED_MAX:
                    return self._disable
                self._enabled[option] += 1
                self._states[option] = _State.YES
                return self._enable

    def receive_off(self, option: bytes) -> bytes:
        """Process the peer's request to disable an option, its refusal, or its acknowledgement; return the answer."""
        was_on = self.is_on(option)
        self._states.pop(option, None)
        return self._disable if was_on else b""

    def _state_of(self, option: bytes) -> _State:
        return self._states.get(option, _State.NO)
