"""Messages between two processes of one server: a query has an answer, news has none."""

from functools import cache
from typing import Any, Generic, TypeVar, Union, get_args

import msgspec

A_co = TypeVar("A_co", covariant=True)


class Message(msgspec.Struct, array_like=True, tag=True):
    """One message; on the wire its tag is the name of its class."""


class Query(Message, Generic[A_co]):
    """A message that is answered, with a value of the type in brackets."""


class News(Message):
    """A message that is not answered."""


class Vocabulary:
    """The messages that one end of a channel understands.

    Args:
        kinds: Their classes.
    """

    def __init__(self, *kinds: type[Message]) -> None:
        self.kinds = kinds
        self._decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Union[kinds])  # noqa: UP007 -- of a tuple

    def decode(self, body: bytes | msgspec.Raw) -> Message:
        """Return the message of a frame.

        Raises:
            msgspec.MsgspecError: The frame is none of these messages.
        """
        return self._decoder.decode(body)


def answer_name(kind: type[Message]) -> str:
    """Return the readable type of the answer to a kind of message; empty for news."""
    if not issubclass(kind, Query):
        return ""
    (answer,) = get_args(kind.__orig_bases__[0])  # type: ignore[attr-defined] # typing's own attribute
    if answer is type(None):
        return "nothing"
    return str(answer).replace("telnetsd.rpc.messages.", "") if get_args(answer) else str(answer.__name__)


@cache
def answer_decoder(kind: type[Query[Any]]) -> msgspec.msgpack.Decoder[Any]:
    """Return the decoder of the answers to a kind of query."""
    (answer,) = get_args(kind.__orig_bases__[0])  # type: ignore[attr-defined] # typing's own attribute
    return msgspec.msgpack.Decoder(answer)
