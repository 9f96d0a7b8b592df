"""How refused connections are logged: a few of them one by one, and many by their number."""

from collections.abc import Callable
from pathlib import Path

from support.audit import open_test_log, read_log
from support.server import Event, action_of, get
from telnetsd.audit.sink import GroupCommit
from telnetsd.audit.trail import make_trail
from telnetsd.config.settings import EndpointSettings
from telnetsd.connection.turned_away import FAILURES_MAX, INTERVAL_S, SOURCES_MAX, TurnedAway
from telnetsd.events.reason import TlsReason, TurnedAwayReason
from telnetsd.listener.arrival import Origin
from telnetsd.listener.endpoint import Endpoint

ENDPOINT = Endpoint(EndpointSettings(listen="127.0.0.1:0"))
MORE = 5


def origin(number: int) -> Origin:
    return Origin(f"2001:db8:0:{number:x}::1", 4711, endpoint=ENDPOINT)


async def events_of(folder: Path, tell: Callable[[TurnedAway], None]) -> list[Event]:
    log = open_test_log(folder / "audit.jsonl")
    sink = GroupCommit(log)
    tell(TurnedAway(make_trail(sink), 0.0))
    await sink.close()
    log.close()
    return [one for one in read_log(folder / "audit.jsonl") if action_of(one) != "audit-checkpoint"]


async def test_failed_handshakes_are_logged_one_by_one_and_counted_beyond_a_limit(tmp_path: Path) -> None:
    def tell(unadmitted: TurnedAway) -> None:
        unadmitted.tick(0)
        for number in range(FAILURES_MAX + MORE):
            unadmitted.note_failed(origin(number), TlsReason.PLAIN_TEXT, "words")
        unadmitted.tick(INTERVAL_S)
        unadmitted.note_failed(origin(0), TlsReason.PLAIN_TEXT, "again")

    events = await events_of(tmp_path, tell)
    assert len(events) == FAILURES_MAX + 2
    *_, counted, again = events
    assert action_of(counted) == "handshake-failed"
    assert get(counted, "telnetsd.connections") == MORE
    assert "source" not in counted
    assert counted["event"]["reason"] == "plain-text"
    assert (again["message"], get(again, "source.ip")) == ("again", "2001:db8:0:0::1")


async def test_sources_beyond_a_limit_are_counted_together(tmp_path: Path) -> None:
    def tell(unadmitted: TurnedAway) -> None:
        for number in range(SOURCES_MAX + MORE):
            unadmitted.note_turned_away(origin(number), TurnedAwayReason.PENALTY)
        unadmitted.note_turned_away(origin(0), TurnedAwayReason.PENALTY)
        unadmitted.flush()

    events = await events_of(tmp_path, tell)
    assert [get(one, "telnetsd.connections") for one in events] == [*[1] * SOURCES_MAX, 1, MORE]
    assert get(events[-2], "source.ip") == "2001:db8::"
    assert "source" not in events[-1]
