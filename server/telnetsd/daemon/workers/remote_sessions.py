"""The open sessions of all workers, as one worker requests them."""

from telnetsd.daemon.workers.rlimits import raise_unrecorded
from telnetsd.rpc.channel import Channel, ChannelError
from telnetsd.rpc.messages import KickAnywhere, ListEverySession, NotifyOthers, SessionRow
from telnetsd.session.registry import SessionRegistry


class RemoteSessions:
    """The open sessions of all workers; see `commands.caller.LiveSessions`."""

    def __init__(self, channel: Channel, registry: SessionRegistry) -> None:
        self._channel = channel
        self._registry = registry

    @property
    def notice(self) -> str:
        """See LiveSessions."""
        return self._registry.notice

    async def rows(self) -> list[SessionRow]:
        """See LiveSessions."""
        return await self._channel.ask(ListEverySession())

    async def matching(self, id_end: str) -> list[SessionRow]:
        """See LiveSessions."""
        return [row for row in await self.rows() if row.id.endswith(id_end)]

    async def kick(self, session_id: str, by: str) -> None:
        """See LiveSessions."""
        try:
            await self._channel.ask(KickAnywhere(session_id, by))
        except ChannelError as error:
            raise_unrecorded(error)
            raise

    async def tell_others(self, session_id: str, text: str) -> int:
        """See LiveSessions."""
        return await self._channel.ask(NotifyOthers(session_id, text))
