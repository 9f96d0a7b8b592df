"""The registry of open sessions."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import make_trail
from telnetsd.config.settings import EndpointSettings
from telnetsd.events.part import Fields
from telnetsd.events.reason import CertificateStatus, EndReason, GuestReason
from telnetsd.identity.outcome import Guest, Identity, Refusal
from telnetsd.listener.arrival import Origin
from telnetsd.listener.endpoint import Endpoint
from telnetsd.rpc.messages import SessionRow
from telnetsd.session.registry import SessionRegistry
from telnetsd.session.visit import Visit
from telnetsd.tls.engine import TlsDetails


class FullDisk:
    """A sink to which nothing can be written."""

    async def _fail(self) -> None:
        raise AuditUnavailableError("full")

    def put(self, event: Fields) -> Any:
        return self._fail()


class OpenSession:
    """The part of a session that the registry uses."""

    def __init__(self, id_: str, sink: Any) -> None:
        self.id = id_
        self.identity = Guest(GuestReason.NO_CERTIFICATE, CertificateStatus.NONE, None)
        self.user = "guest"
        origin = Origin("127.0.0.1", 1, Endpoint(EndpointSettings(listen="127.0.0.1:0")))
        tls = TlsDetails(version="1.3", cipher="", group="", resumed=False, server_name="")
        self.visit = Visit(
            id=id_, identity=self.identity, peer=None, origin=origin, tls=tls, started_at=datetime.now(UTC)
        )
        self.trail = make_trail(sink)
        self.ended: list[EndReason] = []

    def row(self) -> SessionRow:
        return SessionRow(
            id=self.id,
            user=self.user,
            roles=(),
            source="",
            certificate_status="none",
            certificate_sha256="",
            tls="1.3",
            started_at=self.visit.started_at,
            idle_s=0,
        )

    def end(self, reason: EndReason, sentence: str) -> None:
        self.ended.append(reason)


def registry_of(*sessions: Any) -> SessionRegistry:
    registry = SessionRegistry()
    for session in sessions:
        registry.add(session)
    return registry


async def test_a_kick_that_cannot_be_recorded_ends_no_session() -> None:
    session = OpenSession("1234", FullDisk())
    with pytest.raises(AuditUnavailableError):
        await registry_of(session).kick("1234", "alice")
    assert session.ended == []


async def test_a_kick_is_on_the_disk_before_the_session_ends() -> None:
    written = asyncio.Event()

    class SlowDisk:
        def put(self, event: Fields) -> Any:
            return written.wait()

    session = OpenSession("1234", SlowDisk())
    kicking = asyncio.ensure_future(registry_of(session).kick("1234", "alice"))
    await asyncio.sleep(0)
    assert session.ended == []
    written.set()
    await kicking
    assert session.ended == [EndReason.KICKED]


async def test_a_kick_of_a_session_that_is_over_does_nothing() -> None:
    await registry_of().kick("1234", "alice")


async def test_sessions_are_found_by_the_end_of_their_id() -> None:
    registry = registry_of(OpenSession("aa12", FullDisk()), OpenSession("bb12", FullDisk()))
    assert [row.id for row in await registry.matching("b12")] == ["bb12"]
    assert len(await registry.matching("12")) == len(registry) == 2
    assert await registry.matching("x") == []


async def test_a_session_that_cannot_be_checked_stops_no_other_check_and_all_sessions_are_due_again() -> None:
    refusal = Refusal(reason=GuestReason.NO_CERTIFICATE, status=CertificateStatus.NONE, certificate=None)
    looked: list[str] = []

    class Looked(OpenSession):
        def reidentify(self, identity: Identity) -> None:
            looked.append(self.id)
            if self.id == "2":
                raise OSError("no disk")
            assert identity is refusal

    registry = registry_of(*(Looked(one, FullDisk()) for one in "123"))
    with pytest.raises(OSError, match="no disk"):
        await registry.reidentify(lambda *_: refusal)
    assert looked == ["1", "2", "3"]
    assert registry.rounds == 1


def test_a_session_whose_clock_fails_stops_no_other_clock() -> None:
    looked: list[str] = []

    class Ticking(OpenSession):
        def check_clocks(self, at: datetime) -> None:
            looked.append(self.id)
            if self.id == "1":
                raise OSError("no clock")

    registry = registry_of(*(Ticking(one, FullDisk()) for one in "12"))
    with pytest.raises(OSError, match="no clock"):
        registry.check_clocks()
    assert looked == ["1", "2"]
