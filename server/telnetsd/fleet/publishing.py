"""Putting a change into the stream: at its place or not at all, with an answer even if a server dies meanwhile."""

import asyncio
from typing import Final

from telnetsd.errors import TelnetsdError
from telnetsd.fleet.connection import (
    WRONG_POSITION,
    EngineError,
    NoAnswerError,
    NobodyThereError,
    RefusedByEngineError,
)
from telnetsd.fleet.engine import Engine
from telnetsd.fleet.subjects import Subjects

PUBLISH_S: Final = 14.0
"""How long a change may wait for its answer: when a server of the engine dies, the others need up to ten seconds."""
_TRY_S: Final = 2.0
_RETRY_S: Final = 0.2
_STREAM_FULL: Final = 10077
_NO_SPACE: Final = frozenset({_STREAM_FULL, 10047, 10023})


class NotPublishedError(TelnetsdError):
    """A change is not in the stream, and will not be: a sentence for the operator."""


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

    async def publish(self, subject: str, message: bytes, after: int) -> int:
        """Put a message directly after a position, and return its own position.

        Raises:
            NotPublishedError: It is not in the stream.
            UnknownOutcomeError: It may be.
        """
        end = asyncio.get_running_loop().time() + PUBLISH_S
        is_sent, words = False, "the engine cannot be reached"
        while (left_s := end - asyncio.get_running_loop().time()) > 0:
            try:
                connection = await self._engine.connected(min(left_s, _TRY_S))
            except NoAnswerError as error:
                words = str(error)
                continue
            try:
                return await connection.put(subject, message, timeout_s=min(left_s, _TRY_S), after=after)
            except RefusedByEngineError as error:
                return await self._position_if_ours(error, message, after)
            except NobodyThereError as error:
                words = str(error)
            except NoAnswerError:
                is_sent = True
            except EngineError as error:
                words = str(error)
            await asyncio.sleep(_RETRY_S)
        if is_sent:
            raise UnknownOutcomeError("the engine did not say whether it has the change")
        raise NotPublishedError(f"nothing was changed: {words}; try again, see: telnetsd fleet status")

    async def _position_if_ours(self, refusal: RefusedByEngineError, message: bytes, after: int) -> int:
        """Return the position of a message that was refused since it is in the stream already.

        Raises:
            NotPublishedError: Another one is there, or the engine refuses for another reason.
            UnknownOutcomeError: The engine does not say what is there.
        """
        if refusal.code in _NO_SPACE:
            raise NotPublishedError(f"nothing was changed: the engine is full ({refusal}); give it more disk")
        if refusal.code not in WRONG_POSITION:
            raise NotPublishedError(f"nothing was changed: the engine refuses: {refusal}")
        try:
            connection = await self._engine.connected(_TRY_S)
            found = await connection.at(self._subjects.state, after + 1, _TRY_S)
        except EngineError as error:
            raise UnknownOutcomeError(str(error)) from error
        if found is not None and found.data == message:
            return after + 1
        raise NotPublishedError("nothing was changed: another operator was faster; try again")
