"""Which raw connections are admitted."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.config.settings import LimitSettings
from telnetsd.events.reason import TurnedAwayReason
from telnetsd.listener.admission import Admission, Slot, Terms, find_source
from telnetsd.listener.penalties import SOURCES_MAX, Fine, Penalties

ALICE, BOB = "192.0.2.1", "198.51.100.7"


def admission(
    *, connections: int = 100, now: Callable[[], float] = lambda: 0.0, chance: float = 0.5, **limits: float
) -> Admission:
    terms = Terms(LimitSettings(**limits), connections, 1000)  # type: ignore[arg-type]
    return Admission(terms, now=now, chance=lambda: chance)


def admitted(one: Admission, address: str) -> Slot:
    slot = one.admit(address)
    assert isinstance(slot, Slot)
    return slot


def hearing(one: Admission) -> Callable[[Fine], None]:
    def hear(fine: Fine) -> None:
        one.penalties.hear(fine, 0.0)

    return hear


def test_the_limit_of_a_source_affects_no_other_source() -> None:
    one = admission(per_source=2)
    first = admitted(one, ALICE)
    admitted(one, ALICE)
    assert one.admit(ALICE) is TurnedAwayReason.TOO_MANY_FROM_SOURCE
    admitted(one, BOB)
    one.leave(first)
    admitted(one, ALICE)


def test_a_network_has_a_limit() -> None:
    one = admission(per_source=2, per_network=3)
    for address in (ALICE, ALICE, "192.0.2.9"):
        admitted(one, address)
    assert one.admit("192.0.2.200") is TurnedAwayReason.TOO_MANY_FROM_NETWORK
    admitted(one, "192.0.3.1")


def test_an_ipv6_source_is_a_64_and_an_ipv4_mapped_address_counts_as_ipv4() -> None:
    assert find_source("2001:db8::1", ()) == find_source("2001:db8::ffff", ())
    assert find_source("2001:db8::1", ()) != find_source("2001:db8:0:1::1", ())
    assert find_source(f"::ffff:{ALICE}", ()) == find_source(ALICE, ())
    assert find_source("fe80::1%eth0", ()).name == "fe80::/64"


def test_an_exempt_source_is_bound_only_by_the_global_limits() -> None:
    one = admission(connections=3, per_source=1)
    for _ in range(3):
        admitted(one, "127.0.0.1")
    assert one.admit("127.0.0.1") is TurnedAwayReason.TOO_MANY_CONNECTIONS
    assert one.admit("::1") is TurnedAwayReason.TOO_MANY_CONNECTIONS


@pytest.mark.parametrize(
    ("starting", "chance", "is_taken"),
    [(9, 0.0, True), (10, 0.29, False), (10, 0.31, True), (15, 0.64, False), (15, 0.66, True), (20, 0.999, False)],
)
def test_handshakes_are_refused_at_random_and_then_always(starting: int, chance: float, is_taken: bool) -> None:
    one = admission(chance=1.0, handshakes_begin=10, handshakes_refused=30, handshakes_full=20)
    for _ in range(starting):
        admitted(one, "127.0.0.1")
    one._chance = lambda: chance
    assert isinstance(one.admit("127.0.0.1"), Slot) == is_taken


def test_a_completed_handshake_makes_room_for_another() -> None:
    one = admission(handshakes_begin=1, handshakes_full=2)
    places = [admitted(one, ALICE), admitted(one, ALICE)]
    assert one.admit(ALICE) is TurnedAwayReason.TOO_MANY_HANDSHAKES
    for slot in places:
        one.establish(slot)
    admitted(one, ALICE)


def test_penalties_grow_take_effect_and_expire() -> None:
    clock = [0.0]
    one = admission(now=lambda: clock[0], penalty_threshold_s=10, penalty_max_s=30)
    source = find_source(ALICE, ())
    one.penalise(source, 9)
    admitted(one, ALICE)
    one.penalise(source, 9)
    assert one.admit(ALICE) is TurnedAwayReason.PENALTY
    admitted(one, BOB)
    clock[0] = 17.9
    assert one.admit(ALICE) is TurnedAwayReason.PENALTY
    clock[0] = 18.1
    admitted(one, ALICE)
    for _ in range(10):
        one.penalise(source, 9)
    clock[0] += 30.1
    admitted(one, ALICE)


def test_one_source_or_network_cannot_use_every_handshake() -> None:
    one = admission(handshakes_per_source=2, handshakes_per_network=3)
    first = admitted(one, ALICE)
    admitted(one, ALICE)
    assert one.admit(ALICE) is TurnedAwayReason.TOO_MANY_HANDSHAKES_FROM_SOURCE
    admitted(one, "192.0.2.9")
    assert one.admit("192.0.2.10") is TurnedAwayReason.TOO_MANY_HANDSHAKES_FROM_SOURCE
    admitted(one, BOB)
    one.establish(first)
    admitted(one, "192.0.2.10")


def test_a_network_whose_sources_fail_in_turn_is_penalised_as_well() -> None:
    one = admission(penalty_threshold_s=10, penalty_max_s=100)
    for number in range(17):
        slot = one.admit(f"2001:db8:0:{number:x}::1")
        if isinstance(slot, Slot):
            one.leave(slot)
        one.penalise(find_source(f"2001:db8:0:{number:x}::1", ()), 5)
    assert one.admit("2001:db8:0:ffff::1") is TurnedAwayReason.NETWORK_PENALTY
    admitted(one, "2001:db8:1::1")


def test_one_penalised_source_does_not_affect_the_rest_of_its_network() -> None:
    clock = [0.0]
    one = admission(now=lambda: clock[0])
    source = find_source(ALICE, ())
    for _ in range(300):
        for _ in range(32):
            one.penalise(source, 10)
        clock[0] += 5.5
        assert one.admit(ALICE) is TurnedAwayReason.PENALTY
        one.leave(admitted(one, "192.0.2.99"))


def test_penalties_of_several_processes_add_up_and_none_cancels_another() -> None:
    here, there = (admission(now=lambda: 0.0, penalty_threshold_s=10, penalty_max_s=100) for _ in range(2))
    here.penalties.tell = hearing(there)
    there.penalties.tell = hearing(here)
    source = find_source(ALICE, ())
    here.penalise(source, 6)
    there.penalise(source, 6)
    assert here.admit(ALICE) is there.admit(ALICE) is TurnedAwayReason.PENALTY
    late = admission(now=lambda: 0.0)
    late.penalties.take_over(here.penalties.all)
    assert late.admit(ALICE) is TurnedAwayReason.PENALTY


def test_the_number_of_guests_is_limited_and_does_not_limit_users() -> None:
    one = admission(guests=1)
    first, second, third = (admitted(one, address) for address in (ALICE, BOB, BOB))
    assert one.take_session(first, "guest", is_guest=True)
    assert not one.take_session(second, "guest", is_guest=True)
    assert one.take_session(third, "bob", is_guest=False)


def test_guests_per_source_are_limited_and_an_exempt_source_has_only_the_limit_on_all_guests() -> None:
    one = admission(guests_per_source=1)
    first, second, third = (admitted(one, address) for address in (ALICE, ALICE, BOB))
    assert one.take_session(first, "guest", is_guest=True)
    assert not one.take_session(second, "guest", is_guest=True)
    assert one.take_session(second, "alice", is_guest=False)
    assert one.take_session(third, "guest", is_guest=True)
    assert all(one.take_session(admitted(one, "127.0.0.1"), "guest", is_guest=True) for _ in range(3))
    one.leave(first)
    assert one.take_session(admitted(one, ALICE), "guest", is_guest=True)


def test_the_number_of_sessions_per_user_is_limited() -> None:
    one = admission(sessions_per_user=1)
    first, second = admitted(one, ALICE), admitted(one, BOB)
    assert one.take_session(first, "alice", is_guest=False)
    assert not one.take_session(second, "alice", is_guest=False)
    assert one.take_session(second, "bob", is_guest=False)
    one.leave(first)
    assert one.take_session(second, "alice", is_guest=False)


@given(st.lists(st.sampled_from([ALICE, BOB, "192.0.2.2", "127.0.0.1", "2001:db8::1"]), max_size=30))
def test_nothing_is_counted_when_all_connections_have_left(addresses: list[str]) -> None:
    one = admission(connections=20, per_source=4, per_network=6)
    places = [slot for slot in map(one.admit, addresses) if isinstance(slot, Slot)]
    for number, slot in enumerate(places):
        if number % 2:
            one.establish(slot)
        one.take_session(slot, "alice", is_guest=number % 3 == 0)
    for slot in places:
        one.leave(slot)
        one.leave(slot)
    assert not one.tally.here


def test_connections_of_other_processes_are_counted() -> None:
    here, there = (admission(now=lambda: 0.0, per_source=2) for _ in range(2))
    there.tally.tell = lambda key, change: here.tally.hear({key: change})
    there.penalties.tell = hearing(here)
    slot = admitted(there, ALICE)
    admitted(here, ALICE)
    assert here.admit(ALICE) is TurnedAwayReason.TOO_MANY_FROM_SOURCE
    there.leave(slot)
    admitted(here, ALICE)
    there.penalise(find_source(BOB, ()), 100)
    assert here.admit(BOB) is TurnedAwayReason.PENALTY


def test_penalties_are_kept_for_a_bounded_number_of_sources() -> None:
    penalties = Penalties()
    penalties.impose(Fine("first", 50, 10, 100), 0.0)
    for number in range(SOURCES_MAX - 1):
        penalties.hear(Fine(str(number), 5, 10, 100), 0.0)
    penalties.impose(Fine("first", 1, 10, 100), 0.0)
    penalties.impose(Fine("last", 50, 10, 100), 0.0)
    assert len(penalties) == SOURCES_MAX
    assert penalties.is_in_force("first", 1.0)
    assert not penalties.is_in_force("0", 1.0)
