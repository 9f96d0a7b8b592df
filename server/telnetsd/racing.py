"""Doing something until it is done, or until there is no reason for it any more."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def unless(over: Awaitable[object], doing: Awaitable[T]) -> T | None:
    """Do something until it is done, and return its result; give it up, and return None, when `over` comes first.

    Raises: What `doing` raises.
    """
    waiting, done = asyncio.ensure_future(over), asyncio.ensure_future(doing)
    try:
        await asyncio.wait({waiting, done}, return_when=asyncio.FIRST_COMPLETED)
        return done.result() if done.done() else None
    finally:
        for one in (waiting, done):
            one.cancel()
        await asyncio.gather(waiting, done, return_exceptions=True)
