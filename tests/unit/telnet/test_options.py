"""Telnet options: each request is answered, each disabling is acknowledged, and two ends always come to agree."""

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from telnetsd.telnet.options import ENABLED_MAX, OptionStates

WILL, WONT, DO, DONT = b"\xfb", b"\xfc", b"\xfd", b"\xfe"
OPTION = b"\x01"


def ours() -> OptionStates:
    return OptionStates(WILL, WONT)


def test_a_request_is_accepted_once_and_refused_as_often_as_it_comes() -> None:
    states = ours()
    assert [states.receive_on(OPTION, agrees=False) for _ in range(3)] == [WONT] * 3
    assert not states.is_on(OPTION)
    assert [states.receive_on(OPTION, agrees=True) for _ in range(3)] == [WILL, b"", b""]
    assert states.is_on(OPTION)


def test_a_peer_can_enable_an_option_only_a_limited_number_of_times() -> None:
    states = ours()
    answers = [(states.receive_on(OPTION, agrees=True), states.receive_off(OPTION)) for _ in range(ENABLED_MAX + 1)]
    assert answers == [(WILL, WONT)] * ENABLED_MAX + [(WONT, b"")]
    assert states.ask_on(OPTION) == WILL


def test_disabling_is_acknowledged_once() -> None:
    states = ours()
    assert states.receive_off(OPTION) == b""
    states.receive_on(OPTION, agrees=True)
    assert [states.receive_off(OPTION) for _ in range(2)] == [WONT, b""]
    assert not states.is_on(OPTION)


@pytest.mark.parametrize("is_accepted", [True, False])
def test_the_answer_to_an_offer_is_not_answered(is_accepted: bool) -> None:
    states = ours()
    assert [states.ask_on(OPTION) for _ in range(2)] == [WILL, b""]
    answer = states.receive_on(OPTION, agrees=False) if is_accepted else states.receive_off(OPTION)
    assert answer == b""
    assert states.is_on(OPTION) == is_accepted


def test_an_offer_that_is_withdrawn_before_its_answer_is_disabled_by_the_answer() -> None:
    states = ours()
    states.ask_on(OPTION)
    assert [states.ask_off(OPTION) for _ in range(2)] == [b"", b""]
    assert states.receive_on(OPTION, agrees=True) == WONT
    assert states.receive_off(OPTION) == b""
    assert not states.is_on(OPTION)


def test_a_peer_that_acknowledges_no_disabling_is_asked_again() -> None:
    states = ours()
    states.ask_on(OPTION)
    states.receive_on(OPTION, agrees=True)
    assert states.ask_off(OPTION) == WONT
    assert states.ask_on(OPTION) == WILL
    assert states.receive_on(OPTION, agrees=True) == b""
    assert states.is_on(OPTION)


@dataclass
class End:
    """One end of a connection: what it does, and what it asks the other end to do."""

    agrees: bool
    does: OptionStates = field(default_factory=lambda: OptionStates(WILL, WONT))
    requests: OptionStates = field(default_factory=lambda: OptionStates(DO, DONT))

    def receive(self, command: bytes) -> bytes:
        if command == DO:
            return self.does.receive_on(OPTION, agrees=self.agrees)
        if command == DONT:
            return self.does.receive_off(OPTION)
        if command == WILL:
            return self.requests.receive_on(OPTION, agrees=self.agrees)
        return self.requests.receive_off(OPTION)


class Connection:
    """A server and a client, and the commands that are on their way between them."""

    def __init__(self, *, server_agrees: bool, client_agrees: bool) -> None:
        self.server, self.client = End(server_agrees), End(client_agrees)
        self.to_server: deque[bytes] = deque()
        self.to_client: deque[bytes] = deque()

    def step(self, kind: str) -> None:
        match kind:
            case "the server offers":
                self.to_client.append(self.server.does.ask_on(OPTION))
            case "the server withdraws":
                self.to_client.append(self.server.does.ask_off(OPTION))
            case "the client requests":
                self.to_server.append(self.client.requests.ask_on(OPTION))
            case "the client declines":
                self.to_server.append(self.client.requests.ask_off(OPTION))
            case "a command reaches the client":
                self._deliver(self.to_client, self.client, self.to_server)
            case "a command reaches the server":
                self._deliver(self.to_server, self.server, self.to_client)

    @staticmethod
    def _deliver(sent: deque[bytes], end: End, answers: deque[bytes]) -> None:
        command = sent.popleft() if sent else b""
        if command:
            answers.append(end.receive(command))


ARRIVALS = ["a command reaches the client", "a command reaches the server"]
STEPS = st.lists(
    st.sampled_from(
        ["the server offers", "the server withdraws", "the client requests", "the client declines", *ARRIVALS]
    )
)


BOTH_ASK = [
    "the server offers",
    "a command reaches the client",
    "the client declines",
    "a command reaches the server",
    "a command reaches the server",
    "the server offers",
    "the server withdraws",
    "the client requests",
]


@example(BOTH_ASK, True, True)
@given(STEPS, st.booleans(), st.booleans())
def test_whatever_two_ends_ask_for_and_however_late_the_answers_are_they_come_to_agree_and_fall_silent(
    steps: list[str], server_agrees: bool, client_agrees: bool
) -> None:
    made = Connection(server_agrees=server_agrees, client_agrees=client_agrees)
    for kind in steps:
        made.step(kind)
    for kind in ARRIVALS * (8 * len(steps) + 8 * ENABLED_MAX):
        made.step(kind)
    assert not made.to_client
    assert not made.to_server
    assert made.server.does.is_on(OPTION) == made.client.requests.is_on(OPTION)
