"""The log says once a day that a certificate of the server or of its CA ends."""

import asyncio
from datetime import timedelta

import pytest

from support.machine import DEADLINE_S
from telnetsd.audit.log import AuditUnavailableError
from telnetsd.audit.trail import make_trail
from telnetsd.daemon import expiry_keeping, lifecycle
from telnetsd.daemon.expiry_keeping import ExpiryKeeper, find_expiring
from telnetsd.events.part import Fields
from telnetsd.files.home import Home
from telnetsd.pki.authority import utc_now


def test_a_certificate_that_ends_soon_or_has_ended_is_reported(home: Home) -> None:
    now = utc_now()
    assert list(find_expiring(home, now)) == []
    (soon,) = find_expiring(home, now + timedelta(days=365 - 20))
    assert (soon.reason.value, soon.file) == ("expires-soon", "server.pem")
    assert soon.message.startswith("certs/server.pem is valid until 20")
    late = {one.file: one.reason.value for one in find_expiring(home, now + timedelta(days=20 * 365))}
    assert late == {"server.pem": "has-expired", "ca.pem": "has-expired"}


class FullDisk:
    """A log that cannot be written at first."""

    def __init__(self) -> None:
        self.is_full = True
        self.got: list[Fields] = []

    async def put(self, event: Fields) -> None:
        if self.is_full:
            raise AuditUnavailableError("the audit log cannot be written: the disk is full")
        self.got.append(event)


async def test_what_could_not_be_reported_is_reported_later(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry_keeping, "WINDOW_DAYS", 366)
    monkeypatch.setattr(expiry_keeping, "RETRY_S", 0.0)
    disk = FullDisk()
    keeper = ExpiryKeeper(home, make_trail(disk))
    await keeper.keep_up()
    disk.is_full = False
    await keeper.keep_up()
    await keeper.keep_up()
    assert len(disk.got) == 1


class Faulty:
    async def keep_up(self) -> None:
        raise RuntimeError("a fault")


class Counting:
    def __init__(self) -> None:
        self.twice = asyncio.Event()
        self._count = 0

    async def keep_up(self) -> None:
        self._count += 1
        if self._count == 2:
            self.twice.set()


async def test_one_keeper_that_fails_does_not_end_the_work_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "UPKEEP_INTERVAL_S", 0.001)
    counting = Counting()
    async with asyncio.timeout(DEADLINE_S), lifecycle._upkeep((Faulty(), counting)):
        await counting.twice.wait()
