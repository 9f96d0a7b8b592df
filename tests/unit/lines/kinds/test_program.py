"""Lines to a program: the program is real, and the test chooses the moment."""

import asyncio

import pytest

from telnetsd.lines.kinds.program import ExecTarget, open_program
from telnetsd.telnet.terminal import Terminal


async def test_a_reader_of_a_closed_program_no_longer_uses_its_descriptor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The number may belong to another connection by then."""
    program, loop = open_program(ExecTarget(("cat",), None), Terminal(), {}), asyncio.get_running_loop()
    reading = asyncio.ensure_future(program.read())
    await asyncio.sleep(0)
    await program.close()
    touched: list[object] = []
    monkeypatch.setattr(loop, "remove_reader", touched.append)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert touched == []
