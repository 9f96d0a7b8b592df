"""The work of many sessions, done in small parts."""

import asyncio

import pytest

from telnetsd.telnet.turns import PER_TURN, Turns


async def test_a_session_with_much_work_leaves_the_others_their_turn() -> None:
    turns, done, is_over = Turns(), [], asyncio.Event()

    def work(name: str, left: int) -> None:
        done.append(name)
        if left:
            turns.take(lambda: work(name, left - 1))
        elif len(done) == 9:
            is_over.set()

    for name in "abc":
        work(name, 2)
    await asyncio.sleep(0)
    assert done == list("abcabc"[: 3 + PER_TURN])
    await asyncio.wait_for(is_over.wait(), 5)
    assert done == list("abcabcabc")


async def test_work_beyond_one_turn_waits_for_the_next_in_order() -> None:
    turns, done = Turns(), []
    for number in range(3 * PER_TURN):
        turns.take(lambda number=number: done.append(number))  # type: ignore[misc]
    await asyncio.sleep(0)
    assert done == list(range(PER_TURN))
    is_over = asyncio.Event()
    turns.take(is_over.set)
    await asyncio.wait_for(is_over.wait(), 5)
    assert done == list(range(3 * PER_TURN))


async def test_failed_work_does_not_stop_other_work() -> None:
    turns, done = Turns(), asyncio.Event()
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))

    def fail() -> None:
        raise ValueError("a fault")

    turns.take(fail)
    turns.take(done.set)
    await asyncio.wait_for(done.wait(), 5)
    (error,) = told
    with pytest.raises(ValueError, match="a fault"):
        raise error  # type: ignore[misc]
