"""The messages between processes: each has a direction, and arrives unchanged."""

from typing import get_args

import msgspec
import pytest

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
    assert [title for title, kinds in messages.DIRECTIONS if kind in kinds]
    assert kind.__doc__


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, Query)])
def test_a_query_has_an_answer_that_can_be_decoded(kind: type[Query[object]]) -> None:
    assert answer_decoder(kind)


def test_every_control_socket_request_is_recognised_by_its_verb() -> None:
    for kind in REQUESTS:
        line = msgspec.json.encode(kind())
        assert isinstance(msgspec.json.decode(line, type=messages.AnyRequest), kind)
    with pytest.raises(msgspec.ValidationError, match="Invalid value 'reboot'"):
        msgspec.json.decode(b'{"verb":"reboot"}', type=messages.AnyRequest)
