"""Which events are passed on, and how many."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telnetsd.config.documents import template
from telnetsd.config.loading import parse_settings
from telnetsd.config.settings import NotifySettings
from telnetsd.errors import OperatorError
from telnetsd.notify.rules import QUEUE_MAX, Outbox, is_wanted, require_known


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
    outbox = Outbox(2)
    for number in range(10):
        outbox.put({"number": number})
    assert outbox.take(0.0) == ({"number": 0}, 0)
    assert outbox.take(0.0) == ({"number": 1}, 0)
    assert outbox.take(0.0) is None
    outbox.put({"number": 10})
    assert outbox.take(3599.0) is None
    assert outbox.take(3601.0) == ({"number": 10}, 8)


@pytest.mark.parametrize("was_received", [True, False])
def test_an_event_that_was_not_delivered_is_the_next_one_and_costs_nothing_if_nobody_had_it(
    was_received: bool,
) -> None:
    outbox = Outbox(1)
    outbox.put({"number": 0})
    taken = outbox.take(0.0)
    assert taken == ({"number": 0}, 0)
    outbox.put_back(*taken, was_received=was_received)
    assert outbox.take(3599.0) == (None if was_received else ({"number": 0}, 0))


def test_no_more_events_go_in_any_hour_than_are_allowed() -> None:
    outbox = Outbox(30)
    gone: list[float] = []
    for at in range(0, 7200, 10):
        outbox.put({})
        if outbox.take(float(at)) is not None:
            gone.append(float(at))
    assert len(gone) == 60
    assert max(sum(begin <= at < begin + 3600 for at in gone) for begin in gone) == 30


def test_an_event_that_is_given_up_is_counted() -> None:
    outbox = Outbox(10)
    for number in range(2):
        outbox.put({"number": number})
    assert outbox.take(0.0) == ({"number": 0}, 0)
    outbox.drop(0)
    assert outbox.take(0.0) == ({"number": 1}, 1)


@pytest.mark.parametrize(
    ("pattern", "hint"), [("enrolment-requestd", "did you mean enrolment-requested?"), ("", "see docs/")]
)
def test_an_action_that_no_event_has_is_refused(pattern: str, hint: str) -> None:
    with pytest.raises(OperatorError, match=hint):
        require_known(entry(actions=("line-*", pattern)))


def test_what_waits_for_a_receiver_is_bounded() -> None:
    outbox = Outbox(1000)
    for number in range(QUEUE_MAX + 50):
        outbox.put({"number": number})
    assert outbox.take(0.0) == ({"number": 50}, 50)


def test_the_example_in_the_template_is_for_events_that_there_are() -> None:
    _, _, example = template().partition("# [[notify]]\n")
    rows = [line.removeprefix("# ") for line in example.split("\n\n")[0].splitlines()]
    (made,) = parse_settings("\n".join(["[[notify]]", *rows]), "telnetsd.toml").notify
    require_known(made)
    assert len(made.actions) >= 5
