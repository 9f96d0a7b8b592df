"""Which events are passed on, and how many."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.config.settings import NotifySettings
from telnetsd.notify.rules import QUEUE_MAX, Outbox, is_wanted


def entry(**keys: Any) -> NotifySettings:
    return NotifySettings(**{"name": "ops", "actions": ("line-alert",), "program": "true", **keys})


def happened(action: str = "line-alert", reason: str = "alert", **members: Any) -> dict[str, Any]:
    return {"event": {"action": action, "reason": reason}, **members}


@pytest.mark.parametrize(
    ("keys", "event", "wanted"),
    [
        ({}, happened(), True),
        ({}, happened("line-up"), False),
        ({"actions": ("line-*",)}, happened("line-up"), True),
        ({"actions": ("audit-damaged", "line-alert")}, happened(), True),
        ({"reasons": ("al*",)}, happened(), True),
        ({"reasons": ("other",)}, happened(), False),
        ({"users": ("bob",)}, happened(user={"name": "bob"}), True),
        ({"users": ("bob",)}, happened(user={"target": {"name": "bob"}}), True),
        ({"users": ("bob",)}, happened(user={"name": "alice"}), False),
        ({"users": ("bob",)}, happened(), False),
        ({"actions": ("*",)}, happened("notification-failed"), False),
    ],
)
def test_an_entry_is_for_the_events_that_it_names(keys: dict[str, Any], event: dict[str, Any], wanted: bool) -> None:
    assert is_wanted(entry(**keys), event) is wanted


@given(st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)))
def test_any_line_of_the_log_can_be_judged(event: Any) -> None:
    assert is_wanted(entry(), event if isinstance(event, dict) else {}) in {True, False}


def test_the_first_events_go_and_then_the_newest_with_the_number_that_was_held_back() -> None:
    outbox = Outbox(2, 0.0)
    for number in range(10):
        outbox.put({"number": number})
    assert outbox.take(0.0) == ({"number": 0}, 0)
    assert outbox.take(0.0) == ({"number": 1}, 0)
    assert outbox.take(0.0) is None
    outbox.put({"number": 10})
    assert outbox.take(1799.0) is None
    assert outbox.take(1801.0) == ({"number": 10}, 8)
    assert outbox.take(1802.0) is None


def test_an_event_that_was_not_delivered_is_the_next_one_and_costs_nothing() -> None:
    outbox = Outbox(1, 0.0)
    outbox.put({"number": 0})
    outbox.put({"number": 1})
    taken = outbox.take(0.0)
    assert taken == ({"number": 0}, 0)
    outbox.put_back(*taken)
    assert outbox.take(0.0) == ({"number": 0}, 0)


def test_what_waits_for_a_receiver_is_bounded() -> None:
    outbox = Outbox(1000, 0.0)
    for number in range(QUEUE_MAX + 50):
        outbox.put({"number": number})
    assert outbox.take(0.0) == ({"number": 50}, 50)
