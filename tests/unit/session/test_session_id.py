"""Ids of sessions: UUIDs of version 7."""

import time
import uuid

from telnetsd.session.session_id import new_session_id


def test_an_id_is_a_uuid_of_version_7_that_begins_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_session_id())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_differ() -> None:
    assert len({new_session_id() for _ in range(1000)}) == 1000
