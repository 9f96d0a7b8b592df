"""An exported checkpoint counts only with the audit key's signature."""

from pathlib import Path

import pytest

from support.audit import KEY, event, make_key, open_test_log
from telnetsd.audit.chain import ChainError, take_signature
from telnetsd.audit.checkpoint import read_checkpoint
from telnetsd.events.reason import CheckpointReason


def test_a_checkpoint_is_read_with_the_key_that_signed_it_and_refused_with_another(tmp_path: Path) -> None:
    log = open_test_log(tmp_path / "audit.jsonl")
    log.append([event("one")])
    line = log.checkpoint(CheckpointReason.REQUESTED)
    log.close()
    assert read_checkpoint(line, KEY.public).is_checkpoint
    with pytest.raises(ChainError, match="was not signed by the audit key"):
        read_checkpoint(line, make_key(7).public)


def test_a_line_without_a_hash_has_no_signature() -> None:
    assert take_signature(b'{"event":{}}') is None
