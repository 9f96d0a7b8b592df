"""What is missing from the recording of a line is in the log, without flooding it."""

import asyncio
from collections.abc import Awaitable
from typing import cast

from telnetsd.audit.trail import make_trail
from telnetsd.events.part import Fields
from telnetsd.lines.context import LineContext
from telnetsd.lines.line_log import LineLog
from telnetsd.lines.table import Line
from telnetsd.lines.traffic import Traffic


class Log:
    """A log that keeps its events."""

    def __init__(self) -> None:
        self.events: list[Fields] = []

    def put(self, event: Fields) -> Awaitable[None]:
        self.events.append(event)
        return asyncio.sleep(0)


class Named:
    """A line that has only a name."""

    name = "console"


class Silent:
    """Traffic of a line without a recording."""

    recording = None


async def test_new_overruns_are_recorded_once_a_minute_and_old_ones_never() -> None:
    log = Log()
    line_log = LineLog(cast("Line", Named()), cast("LineContext", None), make_trail(log), cast("Traffic", Silent()))

    for total in (5, 5, 7, 9, 9):
        line_log.note_overruns(total)
    await line_log.close()

    (event,) = log.events
    assert event["event"]["reason"] == "overrun"
    assert event["telnetsd"]["line"]["overruns"] == 2
    assert event["message"] == "console lost received bytes 2 times, before they could be read"


async def test_a_counter_that_begins_again_is_no_overrun() -> None:
    log = Log()
    line_log = LineLog(cast("Line", Named()), cast("LineContext", None), make_trail(log), cast("Traffic", Silent()))

    for total in (500, 0, 0):
        line_log.note_overruns(total)
    await line_log.close()

    assert log.events == []
