"""A worker, as the supervisor sees it: what it reports about itself, and how to ask it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from telnetsd.audit.chain import Draft
from telnetsd.audit.open_sessions import event_of, fields_of_session
from telnetsd.audit.reading.row import source_of, text_of, who_of
from telnetsd.events.part import Fields
from telnetsd.listener.arrival import LOCAL
from telnetsd.rpc.channel import Channel, ChannelError
from telnetsd.rpc.message import Query
from telnetsd.rpc.messages import SessionRow

ANSWER_TIMEOUT_S: Final = 5.0
"""How long a worker may take to list its sessions: a stopped worker must not keep an operator waiting."""
A = TypeVar("A")


@dataclass(eq=False, slots=True, kw_only=True)
class WorkerLink:
    """One worker, as the supervisor sees it.

    Attributes:
        heard_at: When it last gave a sign of life, by the event loop's clock.
        open: The event with which each open session began, by the session's id.
        written: The results of writing its events that it has not been told yet.
    """

    channel: Channel
    pid: int
    batch: int
    heard_at: float
    is_ready: bool = False
    is_retired: bool = False
    open: dict[str, Draft] = field(default_factory=dict)
    written: list[tuple[int, str]] = field(default_factory=list)


async def ask_all(
    workers: Iterable[WorkerLink], query: Query[A], timeout_s: float = ANSWER_TIMEOUT_S
) -> list[tuple[WorkerLink, A | ChannelError]]:
    """Ask workers, and return the answer of each; an error for one that does not answer in time."""
    asked = list(workers)
    answers = await asyncio.gather(*(_ask(one.channel, query, timeout_s) for one in asked))
    return list(zip(asked, answers, strict=True))


async def _ask(channel: Channel, query: Query[A], timeout_s: float) -> A | ChannelError:
    try:
        return await asyncio.wait_for(channel.ask(query), timeout_s)
    except ChannelError as error:
        return error
    except TimeoutError:
        return ChannelError("it does not answer")


def session_row(started: Draft) -> SessionRow:
    """Return what the start event of a session says about it."""
    event = event_of(started)
    return SessionRow(
        id=text_of(event, "telnetsd.session.id"),
        user=who_of(event),
        roles=tuple(event["user"]["roles"]),
        source=source_of(event) or LOCAL,
        certificate_status=text_of(event, "telnetsd.certificate.status"),
        certificate_sha256=text_of(event, "tls.client.hash.sha256").lower(),
        tls=text_of(event, "tls.version"),
        started_at=datetime.fromisoformat(event["@timestamp"]),
        idle_s=None,
    )


def session_fields(started: Draft) -> Fields:
    """Return the fields of a session's events, from its start event."""
    return fields_of_session(event_of(started))
