"""Putting a change into the stream: at its place or not at all, with an answer even if a server dies meanwhile."""

import asyncio
from typing import Final

from telnetsd.errors import TelnetsdError
from telnetsd.fleet.connection import (
    WRONG_POSITION,
    Connection,
    EngineError,
    NoAnswerError,
    RefusedByEngineError,
)
from telnetsd.fleet.engine import Engine
from telnetsd.fleet.subjects import Subjects

_TRY_S: Final = 2.0
_RETRY_S: Final = 0.2
_STREAM_FULL: Final = 10077
_NO_SPACE: Final = frozenset({_STREAM_FULL, 10047, 10023})


class NotPublishedError(TelnetsdError):
    """A change is not in the stream, and will not be: a sentence for the operator."""


class OvertakenError(NotPublishedError):
    """Another change has its place."""


class UnknownOutcomeError(TelnetsdError):
    """Whether a change is in the stream is not known."""


class Publisher:
    """Puts changes into the stream.

    Args:
        engine: The engine.
        subjects: Those of the fleet.
    """

    def __init__(self, engine: Engine, subjects: Subjects) -> None:
        self._engine = engine
        self._subjects = subjects

    async def publish(self, subject: str, message: bytes, after: int, timeout_s: float) -> int:
        """Put a message directly after a position, and return its own position.

        Raises:
            NotPublishedError: It is not in the stream.
            UnknownOutcomeError: It may be.
        """
        end = asyncio.get_running_loop().time() + timeout_s
        is_sent, words = False, "the engine cannot be reached"
        while (left_s := end - asyncio.get_running_loop().time()) > 0:
            try:
                connection = await self._engine.connected(min(left_s, _TRY_S))
            except NoAnswerError as error:
                words = str(error)
                continue
            try:
                return await self._put(connection, subject, message, after)
            except NoAnswerError:
                is_sent = True
            except NotPublishedError as error:
                if not is_sent or isinstance(error, OvertakenError):
                    raise
                # An earlier try may have been taken: only what is in its place tells.
                words = str(error)
            except EngineError as error:
                words = str(error)
            await asyncio.sleep(_RETRY_S)
        if is_sent:
            raise UnknownOutcomeError("the engine did not say whether it has the change")
        raise NotPublishedError(f"nothing was changed: {words}; try again, see: telnetsd fleet status")

    async def _put(self, connection: Connection, subject: str, message: bytes, after: int) -> int:
        """Put a message once, and return its position.

        Raises:
            NotPublishedError: It is not in the stream.
            NoAnswerError: It may be.
            EngineError: It is not in the stream yet: no server of the engine took it.
        """
        try:
            position = await connection.put(subject, message, timeout_s=_TRY_S, after=after)
            if position == after + 1:
                return position
            raise NoAnswerError(f"the engine says that it is at {position}")
        except RefusedByEngineError as error:
            if error.code not in WRONG_POSITION:
                raise NotPublishedError(f"nothing was changed: {_words_of(error)}") from error
        try:
            found = await connection.at(self._subjects.state, after + 1, _TRY_S)
        except EngineError as error:
            raise NoAnswerError(str(error)) from error
        if found is None:
            # The leader of the stream holds a message there, maybe ours, that the majority does not have yet.
            raise NoAnswerError("the engine has not decided yet")
        if found.data != message:
            raise OvertakenError("nothing was changed: another operator was faster; try again")
        return found.position


def _words_of(refusal: RefusedByEngineError) -> str:
    if refusal.code in _NO_SPACE:
        return f"the engine is full ({refusal}); give it more disk, and try again"
    return f"the engine refuses it: {refusal}"
