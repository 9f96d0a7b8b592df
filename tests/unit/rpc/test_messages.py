"""The messages between processes: each has a direction, and arrives unchanged."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import telnetsd
from telnetsd.rpc import messages
from telnetsd.rpc.message import Message, News, Query, answer_decoder

KINDS = [
    kind
    for kind in vars(messages).values()
    if isinstance(kind, type) and issubclass(kind, Message) and kind not in {News, Query}
]
REQUESTS = get_args(messages.AnyRequest)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_has_a_direction_and_a_description(kind: type[Message]) -> None:
    directions = [title for title, kinds in messages.DIRECTIONS if kind in kinds]
    assert directions, f"add {kind.__name__} to FROM_WORKER, FROM_SUPERVISOR, FROM_PARTICIPANT or FROM_LINE"
    assert kind.__doc__


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, Query)])
def test_a_query_has_an_answer_that_can_be_decoded(kind: type[Query[object]]) -> None:
    assert answer_decoder(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_has_a_handler(kind: type[Message]) -> None:
    name = kind.__name__
    handled = re.compile(rf"\.(answer|hear|open_with)\({name}\b|\b{name}: |case {name}\(")
    sources = (path.read_text() for path in Path(telnetsd.__file__).parent.rglob("*.py"))
    assert any(map(handled.search, sources)), f"no process handles {name}: see Channel.answer and Channel.hear"


def test_every_request_is_one_of_any_request() -> None:
    assert {one.__name__ for one in REQUESTS} == {
        name
        for name, kind in vars(messages).items()
        if isinstance(kind, type) and messages.Request in kind.__mro__[1:]
    }


def test_every_control_socket_request_is_recognised_by_its_verb() -> None:
    for kind in REQUESTS:
        line = msgspec.json.encode(kind())
        assert isinstance(msgspec.json.decode(line, type=messages.AnyRequest), kind)
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'reboot'"):
        msgspec.json.decode(b'{"verb":"reboot"}', type=messages.AnyRequest)
