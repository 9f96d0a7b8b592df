"""The bytes of an open line: each participant is shown what the upstream says, in its role of that moment."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from typing import cast

from telnetsd.audit.trail import Sink, make_trail
from telnetsd.config.settings import LineSettings
from telnetsd.events.reason import LineReason
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.lines.participants import Dismissed, Notices, Participant, Participants
from telnetsd.lines.traffic import BEHIND_MAX_BYTES, Traffic


class Screen:
    """A participant that keeps what it is shown."""

    def __init__(self, name: str, unread_bytes: int = 0, on_show: Callable[[], object] = lambda: None) -> None:
        self.name = name
        self.shown = b""
        self.dismissed: StrEnum | None = None
        self._unread_bytes = unread_bytes
        self._on_show = on_show

    trail = make_trail(cast("Sink", None))

    def show(self, data: bytes) -> None:
        self.shown += data
        self._on_show()

    def tell(self, sentence: str) -> None: ...

    def tell_com_port(self, said: bytes) -> None: ...

    def unread_bytes(self) -> int:
        return self._unread_bytes

    def is_behind(self) -> bool:
        return False

    async def drain(self) -> None: ...

    def dismiss(self, reason: StrEnum, sentence: str) -> None:
        del sentence
        self.dismissed = reason


class Output:
    """An upstream that says one thing, and then ends."""

    def __init__(self, data: bytes) -> None:
        self._left = [data, b""]

    async def read(self) -> bytes:
        return self._left.pop(0)


def dismiss(notices: Notices[Participant]) -> None:
    for one in notices:
        if isinstance(one, Dismissed):
            one.to.dismiss(one.reason, one.sentence)


async def pump(people: Participants[Participant], patience_s: float | None = None) -> None:
    traffic = Traffic(LineSettings(name="switch", target="tcp://a:1"), people, dismiss, lambda _: None)
    traffic.patience_s = patience_s
    await traffic.pump(cast("Upstream", Output(b"hello")))


async def test_a_watcher_that_does_not_keep_up_is_dismissed_and_the_others_are_shown_the_output() -> None:
    writer, slow, quick = Screen("writer"), Screen("slow", BEHIND_MAX_BYTES + 1), Screen("quick")
    people = Participants[Participant]("switch", is_shared=True, writer=writer)
    people.watch(slow)
    people.watch(quick)
    await pump(people)
    assert (writer.shown, slow.shown, quick.shown) == (b"hello", b"", b"hello")
    assert slow.dismissed is LineReason.TOO_SLOW


async def test_a_slow_watcher_that_becomes_the_writer_meanwhile_is_shown_the_output() -> None:
    writer, slow = Screen("writer"), Screen("slow", BEHIND_MAX_BYTES + 1)
    people = Participants[Participant]("switch", is_shared=True, writer=writer)
    first = Screen("first", on_show=lambda: people.promote(slow, writer))
    people.watch(first)
    people.watch(slow)
    await pump(people)
    assert people.writer is slow
    assert (slow.shown, slow.dismissed) == (b"hello", None)


class Stuck(Screen):
    """A participant whose client never reads."""

    def is_behind(self) -> bool:
        return True

    async def drain(self) -> None:
        await asyncio.Event().wait()


async def test_on_a_kept_open_line_the_output_waits_only_for_a_limited_time_for_the_writer() -> None:
    stuck = Stuck("writer")
    people = Participants[Participant]("switch", is_shared=True, writer=stuck)
    await pump(people, patience_s=0.01)
    assert (stuck.shown, stuck.dismissed) == (b"hello", LineReason.TOO_SLOW)
    assert people.all == ()


async def test_where_nothing_holds_the_sender_back_the_output_does_not_wait_for_the_writer_at_all() -> None:
    behind, stuck = Stuck("behind"), Stuck("stuck", BEHIND_MAX_BYTES + 1)
    for one, expected in ((behind, (b"hello", None)), (stuck, (b"", LineReason.TOO_SLOW))):
        await pump(Participants[Participant]("switch", is_shared=True, writer=one), patience_s=0)
        assert (one.shown, one.dismissed) == expected
