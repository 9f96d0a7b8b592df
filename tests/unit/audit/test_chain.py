"""A line of the chain: one line, with the hashes that it claims."""

from hashlib import sha256

import msgspec
import pytest

from support.audit import event
from telnetsd.audit.chain import EMPTY, GENESIS, ChainError, Head, make_draft, read_link, seal


def test_a_sealed_line_is_one_line_with_the_hashes_that_it_claims() -> None:
    line, head = seal(make_draft(event('quote " and } and \\')), EMPTY)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    decoded = msgspec.json.decode(line)
    assert decoded["event"]["sequence"] == 1
    assert decoded["telnetsd"]["chain"]["previous"] == GENESIS
    unhashed = line[:-1].replace(f'"hash":"{decoded["event"]["hash"]}",'.encode(), b"", 1)
    assert decoded["event"]["hash"] == sha256(unhashed).hexdigest()
    assert head == Head(1, sha256(line[:-1]).hexdigest()) == read_link(line[:-1]).head


def test_text_that_imitates_the_hash_cannot_replace_it() -> None:
    line, head = seal(make_draft(event('{"@timestamp":"1","event":{"hash":"' + "0" * 64 + '","event":{')), EMPTY)
    assert read_link(line[:-1]).head == head


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"null", b"\xff", b'{"@timestamp":"2026-01-01T00:00:00.000000Z","event":{}}']
)
def test_a_line_that_is_not_an_event_is_refused(line: bytes) -> None:
    with pytest.raises(ChainError):
        read_link(line)


def test_a_line_with_a_correct_hash_that_is_not_an_event_is_refused() -> None:
    unhashed = b'{"@timestamp":"2026-01-01T00:00:00.000000Z","event":{"sequence":1}}'
    digest = sha256(unhashed).hexdigest().encode()
    with pytest.raises(ChainError):
        read_link(unhashed.replace(b'"event":{', b'"event":{"hash":"' + digest + b'",'))


def test_any_changed_byte_is_detected() -> None:
    line = seal(make_draft(event()), EMPTY)[0][:-1]
    for position in range(len(line)):
        changed = bytearray(line)
        changed[position] ^= 1
        with pytest.raises(ChainError):
            read_link(bytes(changed))
