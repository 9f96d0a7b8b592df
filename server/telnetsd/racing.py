"""Running something until it is done, or until it is no longer needed."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def unless(over: Awaitable[object], doing: Awaitable[T]) -> T | None:
    """Await `doing` and return its result; if `over` is done first, cancel `doing` and return None.

    Raises: Any exception that `doing` raises.
    """
    waiting, done = asyncio.ensure_future(over), asyncio.ensure_future(doing)
    try:
        await asyncio.wait({waiting, done}, return_when=asyncio.FIRST_COMPLETED)
        return done.result() if done.done() else None
    finally:
        for one in (waiting, done):
            one.cancel()
        await asyncio.gather(waiting, done, return_exceptions=True)
