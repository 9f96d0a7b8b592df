"""The open sessions of all workers, as if they were on one."""

from collections.abc import Callable, Sequence

from telnetsd.daemon.workers.link import WorkerLink, ask_all, session_row
from telnetsd.daemon.workers.rlimits import raise_unrecorded
from telnetsd.errors import OperatorError
from telnetsd.rpc.channel import ChannelError
from telnetsd.rpc.messages import (
    KickSession,
    ListSessions,
    NotifyOthers,
    ScreenShown,
    SessionRow,
    StopWatching,
    WatchSession,
)


class AllSessions:
    """See `control.server.WatchableSessions`.

    Args:
        workers: The connected workers; the caller changes this sequence.
    """

    def __init__(self, workers: Sequence[WorkerLink]) -> None:
        self._workers = workers
        self._shows: dict[int, Callable[[bytes], None]] = {}
        self._watched: dict[int, WorkerLink] = {}
        self._watches = 0
        self.notice = ""
        """See LiveSessions."""

    async def rows(self) -> list[SessionRow]:
        """See LiveSessions."""
        rows: list[SessionRow] = []
        for worker, answer in await ask_all(self._workers, ListSessions()):
            if isinstance(answer, list):
                rows += answer
            elif worker in self._workers:
                # The worker may not answer, but its sessions are open: an operator has to see them.
                rows += map(session_row, worker.open.values())
        return sorted(rows, key=lambda row: row.started_at)

    async def matching(self, id_end: str) -> list[SessionRow]:
        """See LiveSessions."""
        return [row for row in await self.rows() if row.id.endswith(id_end)]

    async def kick(self, session_id: str, by: str) -> None:
        """See LiveSessions.

        Raises:
            AuditUnavailableError: The event cannot be written; the session continues.
            OperatorError: The session's worker may not have ended it.
        """
        answers = await ask_all(self._workers, KickSession(session_id, by))
        if any(answer is True for _, answer in answers):
            return
        for worker, answer in answers:
            if isinstance(answer, ChannelError) and worker in self._workers:
                raise_unrecorded(answer)
                raise OperatorError(f"worker {worker.pid} has not ended it: {answer}; try again")

    async def watch(self, session_id: str, by: str, show: Callable[[bytes], None]) -> Callable[[], None]:
        """See LiveSessions.

        Raises:
            AuditUnavailableError: The event cannot be written.
            KeyError: The session is over.
        """
        self._watches += 1
        number = self._watches
        self._shows[number] = show

        def stop() -> None:
            self._shows.pop(number, None)
            self._watched.pop(number, None)
            for worker in self._workers:
                worker.channel.tell(StopWatching(number))

        answers = await ask_all(self._workers, WatchSession(session_id, by, number))
        for worker, answer in answers:
            if answer is True and worker in self._workers:
                self._watched[number] = worker
                return stop
        stop()
        for _, answer in answers:
            raise_unrecorded(answer)
        raise KeyError(session_id)

    def lose(self, lost: WorkerLink) -> None:
        """Notify the operators who watch a session of a worker that has ended."""
        for number, worker in list(self._watched.items()):
            if worker is lost:
                self.pass_on(ScreenShown(number, b""))

    async def tell_others(self, session_id: str, text: str) -> int:
        """See LiveSessions."""
        answers = await ask_all(self._workers, NotifyOthers(session_id, text))
        return sum(one for _, one in answers if isinstance(one, int))

    def pass_on(self, news: ScreenShown) -> None:
        """Pass the output of a session on to its watcher."""
        show = self._shows.get(news.watch)
        if show is not None:
            show(news.data)
