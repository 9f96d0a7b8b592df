"""The participants of a line, and which of them are notified of a change."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from telnetsd.events.reason import LineReason
from telnetsd.lines.participants import WATCHERS_MAX, Dismissed, Notices, Participants, Told
from telnetsd.lines.table import LineError


@dataclass(frozen=True)
class Person:
    name: str


ANNA, BEN, CARL, DORA = PEOPLE = [Person(name) for name in ("anna", "ben", "carl", "dora")]


def on_line(*watchers: Person, is_shared: bool = True) -> Participants[Person]:
    """A line with Anna as its writer."""
    people = Participants("switch", is_shared=is_shared, writer=ANNA)
    for watcher in watchers:
        people.watch(watcher)
    return people


def said(notices: Notices[Person]) -> list[tuple[str, str]]:
    return [(notice.to.name, notice.sentence) for notice in notices]


def test_a_watcher_is_announced_to_all_others() -> None:
    assert said(on_line(BEN).watch(CARL)) == [("anna", "carl watches switch"), ("ben", "carl watches switch")]


def test_a_line_that_is_not_shared_has_no_watchers_and_names_its_user() -> None:
    with pytest.raises(LineError, match="in use by anna; an operator may take it over") as refused:
        on_line(is_shared=False).watch(BEN)
    assert refused.value.reason is LineReason.NOT_SHARED


def test_the_number_of_watchers_is_limited() -> None:
    people = on_line(*(Person(f"w{number}") for number in range(WATCHERS_MAX)))
    with pytest.raises(LineError, match="already has 256 watchers") as refused:
        people.watch(BEN)
    assert refused.value.reason is LineReason.TOO_MANY


def test_the_previous_writer_of_a_shared_line_watches_and_the_others_are_notified() -> None:
    people = on_line(BEN)
    assert said(people.take_over(CARL, ANNA)) == [
        ("anna", "carl has taken over switch: you are watching"),
        ("ben", "carl writes to switch"),
    ]
    assert people.writer is CARL
    assert people.watchers == (BEN, ANNA)


def test_the_previous_writer_of_a_line_that_is_not_shared_is_dismissed() -> None:
    people = on_line(is_shared=False)
    assert people.take_over(BEN, ANNA) == [Dismissed(ANNA, LineReason.TAKEN_OVER, "ben has taken over switch")]
    assert people.all == (BEN,)


def test_taking_a_free_place_sends_no_notice() -> None:
    people = on_line(BEN)
    people.leave(ANNA)
    assert people.take_over(BEN, None) == []
    assert people.all == (BEN,)


def test_a_request_notifies_both_and_a_handover_goes_to_the_last_one_that_asked() -> None:
    people = on_line(BEN, CARL)
    people.ask(BEN)
    assert said(people.ask(CARL)) == [
        ("carl", "anna was asked to hand over switch"),
        ("anna", "carl asks to write: ~h hands over switch"),
    ]
    assert people.next_writer(ANNA) is CARL
    assert people.next_writer(BEN) == Told(BEN, "you are only watching: ~a asks to write")
    people.leave(CARL)
    assert people.next_writer(ANNA) == Told(ANNA, "no session has asked to write")


def test_a_writer_that_asks_for_its_own_place_is_notified_of_that() -> None:
    assert said(on_line().ask(ANNA)) == [("anna", "you are already the writer")]


def test_a_promotion_notifies_the_previous_writer_the_new_one_and_the_others_in_this_order() -> None:
    people = on_line(BEN, CARL)
    assert said(people.promote(CARL, ANNA)) == [
        ("anna", "carl now writes to switch: you are watching"),
        ("carl", "you now write to switch"),
        ("ben", "carl writes to switch"),
    ]
    assert people.asking is None


def test_a_demoted_writer_watches_and_the_line_has_no_writer() -> None:
    people = on_line(BEN)
    people.demote(ANNA)
    people.demote(CARL)
    assert people.writer is None
    assert people.watchers == (BEN, ANNA)
    assert people.who() == "no session writes to switch; watched by ben, anna"


def test_the_remaining_participants_are_notified_when_one_leaves_and_a_stranger_cannot_leave() -> None:
    people = on_line(BEN, CARL)
    assert people.leave(DORA) == []
    assert said(people.leave(BEN)) == [
        ("anna", "ben no longer watches switch"),
        ("carl", "ben no longer watches switch"),
    ]
    assert said(people.leave(ANNA)) == [("carl", "anna has left switch: ~a lets you write")]


def test_a_dropped_watcher_is_dismissed_once_and_the_writer_is_never_dropped_as_one() -> None:
    people = on_line(BEN)
    assert people.drop(BEN, LineReason.TOO_SLOW, "slow") == [Dismissed(BEN, LineReason.TOO_SLOW, "slow")]
    assert people.drop(BEN, LineReason.TOO_SLOW, "slow") == []
    assert people.drop(ANNA, LineReason.TOO_SLOW, "slow") == []
    assert people.has(ANNA)
    assert not people.has(BEN)


def test_when_the_writer_is_dropped_the_others_are_notified_as_if_it_had_left() -> None:
    people = on_line(BEN)
    assert people.drop_writer(BEN, LineReason.TOO_SLOW, "slow") == []
    assert people.drop_writer(ANNA, LineReason.TOO_SLOW, "slow") == [
        Dismissed(ANNA, LineReason.TOO_SLOW, "slow"),
        Told(BEN, "anna has left switch: ~a lets you write"),
    ]
    assert people.all == (BEN,)


def test_a_line_that_is_not_shared_has_one_watcher_while_no_other_session_uses_it() -> None:
    people = Participants[Person]("switch", is_shared=False, writer=None)
    assert people.watch(BEN) == []
    with pytest.raises(LineError, match="switch is in use by watchers"):
        people.watch(CARL)
    assert people.take_over(CARL, None) == [Dismissed(BEN, LineReason.TAKEN_OVER, "carl has taken over switch")]
    assert people.all == (CARL,)


class AnyHistory(RuleBasedStateMachine):
    """Anything that can happen on a line, in any order: what then holds, and which participants were notified."""

    @initialize(is_shared=st.booleans())
    def open(self, is_shared: bool) -> None:
        self.people = Participants("switch", is_shared=is_shared, writer=ANNA)
        self.is_shared = is_shared

    def judge(self, before: tuple[Person, ...], notices: Notices[Person], actor: Person) -> None:
        after = self.people.all
        for notice in notices:
            assert notice.to in {*before, *after}
            assert (notice.to not in after) == isinstance(notice, Dismissed)
        stayed = [one for one in after if one in before and one is not actor]
        told = {notice.to for notice in notices}
        if set(after) != set(before) and actor in {*before, *after}:
            assert told.issuperset(stayed), "each that stays is told who came or left"

    @rule(person=st.sampled_from(PEOPLE))
    def watch(self, person: Person) -> None:
        before = self.people.all
        if person in before:
            return
        try:
            notices = self.people.watch(person)
        except LineError:
            assert not self.is_shared
            assert self.people.all == before != ()
            return
        self.judge(before, notices, person)
        assert person in self.people.watchers

    @rule(person=st.sampled_from(PEOPLE))
    def take_over(self, person: Person) -> None:
        before, former = self.people.all, self.people.writer
        if person is former:
            return
        notices = self.people.take_over(person, former)
        self.judge(before, notices, person)
        if former is not None:
            assert self.people.has(former) == self.is_shared
        assert self.people.writer is person

    @rule(person=st.sampled_from(PEOPLE))
    def ask_and_hand_over(self, person: Person) -> None:
        writer, before = self.people.writer, self.people.all
        if writer is None or person not in before:
            return
        self.people.ask(person)
        found = self.people.next_writer(writer)
        if isinstance(found, Told):
            assert found.to is writer
            return
        assert self.people.may_promote(found, writer)
        notices = self.people.promote(found, writer)
        assert {notice.to for notice in notices} == set(before)
        assert self.people.writer is found

    @rule(person=st.sampled_from(PEOPLE))
    def leave(self, person: Person) -> None:
        before = self.people.all
        self.judge(before, self.people.leave(person), person)
        assert not self.people.has(person)

    @rule()
    def demote(self) -> None:
        if self.people.writer is not None and self.is_shared:
            self.people.demote(self.people.writer)

    @rule()
    def end(self) -> None:
        before = self.people.all
        notices = self.people.dismiss_all(LineReason.UPSTREAM_CLOSED, "closed")
        assert [notice.to for notice in notices] == list(before)
        assert self.people.all == ()

    @invariant()
    def each_has_one_role(self) -> None:
        if not hasattr(self, "people"):
            return
        watchers = self.people.watchers
        assert len(set(watchers)) == len(watchers)
        assert self.people.writer not in watchers
        assert self.is_shared or len(self.people.all) <= 1


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
