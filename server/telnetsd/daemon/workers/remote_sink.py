"""A worker's way to the audit log, which the supervisor writes."""

import asyncio
from typing import Final

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.sink import GATHERED_MAX, encode, failed, settle
from telnetsd.events.part import Fields
from telnetsd.rpc.channel import Channel
from telnetsd.rpc.messages import EventRaised, EventsWritten

_NO_ANSWER: Final = "the audit log cannot be written: the process that writes it does not answer"


class RemoteSink:
    """Events on their way to the log, which the supervisor writes; see `audit.trail.Sink`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        channel.hear(EventsWritten, self._settle)

    def put(self, event: Fields) -> asyncio.Future[None]:
        """Accept an event; the future is done when it is on disk."""
        if self._channel.is_closed or len(self._waiting) >= GATHERED_MAX:
            return failed(AuditUnavailableError(_NO_ANSWER))
        try:
            draft = encode(event)
        except AuditUnavailableError as error:
            return failed(error)
        written: asyncio.Future[None] = self._loop.create_future()
        self._number += 1
        self._waiting[self._number] = written
        session_id = event.get("telnetsd", {}).get("session", {}).get("id", "")
        self._channel.tell(
            EventRaised(
                number=self._number,
                session_id=session_id,
                action=draft.action,
                head=draft.head,
                body=draft.body,
                tail=draft.tail,
            )
        )
        return written

    def give_up(self) -> None:
        """Fail every event that waits: the process that writes the log is gone."""
        for written in self._waiting.values():
            settle(written, AuditUnavailableError(_NO_ANSWER))
        self._waiting.clear()

    def _settle(self, news: EventsWritten) -> None:
        for number, error in news.written:
            settle(self._waiting.pop(number), AuditUnavailableError(error) if error else None)
