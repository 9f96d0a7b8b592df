"""Lines to a program, where the program is real and the moment is ours."""

import asyncio

import pytest

from telnetsd.lines.kinds.program import ExecTarget, open_program
from telnetsd.telnet.terminal import Terminal


async def test_whoever_reads_while_a_program_is_closed_does_not_touch_its_descriptor_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its number may be another connection's by then."""
    program, loop = open_program(ExecTarget(("cat",), None), Terminal(), {}), asyncio.get_running_loop()
    reading = asyncio.ensure_future(program.read())
    await asyncio.sleep(0)
    await program.close()
    touched: list[object] = []
    monkeypatch.setattr(loop, "remove_reader", touched.append)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert touched == []
