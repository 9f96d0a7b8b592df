"""Changes as messages: what a node signs is what the others read, and nothing else is read at all."""

import random

import msgspec
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given
from hypothesis import strategies as st

from telnetsd.administration.replication.message import (
    BODY_MAX_BYTES,
    LEVEL,
    MESSAGE_MAX_BYTES,
    ChangeBody,
    ChangeKind,
    LevelError,
    MessageError,
    MessageTooLongError,
    SharedFile,
    encode_change,
    is_canonical_time,
    sentences,
    unverified_change,
    verify_change,
)
from telnetsd.state.rows import RowChange

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
AT = "2026-12-01T00:00:00+00:00"
_PURPOSE = b"telnetsd fleet change v1\n"

VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary()
ROWS = st.builds(
    RowChange,
    st.sampled_from(["put", "set", "cut"]),
    st.text(),
    st.dictionaries(st.text(), VALUES, max_size=3),
    st.dictionaries(st.text(), VALUES, max_size=3),
)


def body(**changes: object) -> ChangeBody:
    plain = ChangeBody(
        fleet="acme", id="0" * 32, node="hq-1", kind=ChangeKind.GIVE, by="root", at=AT, previous="", rows=[]
    )
    return msgspec.structs.replace(plain, **changes)


def signed(packed: bytes) -> bytes:
    """Return a message with any content that a node has signed."""
    return KEY.sign(_PURPOSE + packed) + packed


@given(rows=st.lists(ROWS, max_size=5), content=st.none() | st.binary(), events=st.lists(st.text(), max_size=3))
def test_what_one_node_signs_another_one_reads(
    rows: list[RowChange], content: bytes | None, events: list[str]
) -> None:
    change = body(rows=rows, files=[SharedFile("certs/trust/x.pem", content)], events=events)
    message = encode_change(change, KEY)
    assert verify_change(message, KEY.public_key()) == change
    with pytest.raises(MessageError, match="signature is not valid"):
        verify_change(message, OTHER.public_key())


@given(position=st.integers(0, 10**6), value=st.integers(1, 255))
def test_no_bit_of_a_message_can_be_changed(position: int, value: int) -> None:
    message = bytearray(encode_change(body(), KEY))
    message[position % len(message)] ^= value
    with pytest.raises(MessageError, match="signature is not valid"):
        verify_change(bytes(message), KEY.public_key())


@given(st.binary(max_size=300))
@example(b"")
@example(zstandard.compress(b""))
@example(zstandard.compress(b"\x91" * 100_000))
@example(zstandard.compress(msgspec.msgpack.encode([1, 2])))
def test_what_is_no_change_is_refused_in_words_whoever_signed_it(packed: bytes) -> None:
    with pytest.raises(MessageError):
        verify_change(signed(packed), KEY.public_key())
    with pytest.raises(MessageError):
        unverified_change(packed)


def test_a_body_that_would_unpack_to_more_than_is_read_is_refused_before_it_is_unpacked() -> None:
    bomb = zstandard.compress(bytes(BODY_MAX_BYTES + 1))
    assert len(bomb) < 10_000
    with pytest.raises(MessageError, match=r"16,777,217 bytes; at most 16,777,216 are read"):
        verify_change(signed(bomb), KEY.public_key())
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000))
    with pytest.raises(MessageError):
        verify_change(signed(unsized), KEY.public_key())


def test_a_change_of_a_higher_level_is_told_apart_from_one_that_cannot_be_read() -> None:
    with pytest.raises(LevelError, match=f"level {LEVEL + 1}; this version understands {LEVEL}"):
        verify_change(encode_change(body(level=LEVEL + 1), KEY), KEY.public_key())
    later = {**msgspec.to_builtins(body(), builtin_types=(bytes,)), "level": LEVEL + 7, "new_field": 1}
    with pytest.raises(LevelError, match=f"level {LEVEL + 7}"):
        verify_change(signed(zstandard.compress(msgspec.msgpack.encode(later))), KEY.public_key())
    with pytest.raises(MessageError, match="cannot be read"):
        verify_change(signed(zstandard.compress(msgspec.msgpack.encode({**later, "level": LEVEL}))), KEY.public_key())


def test_a_change_that_does_not_fit_into_a_message_is_refused_where_it_is_made() -> None:
    noise = random.Random(1).randbytes(MESSAGE_MAX_BYTES)
    with pytest.raises(MessageTooLongError, match="900,000 fit into a message"):
        encode_change(body(files=[SharedFile("certs/crl/long.pem", noise)]), KEY)


@pytest.mark.parametrize("value", [True, 1.5, ["list"], {"a": 1}])
def test_a_row_has_no_value_of_another_type_than_the_database(value: object) -> None:
    raw = {**msgspec.to_builtins(body()), "rows": [["put", "users", {"name": value}, {}]]}
    with pytest.raises(MessageError, match="a row has no value of the type"):
        verify_change(signed(zstandard.compress(msgspec.msgpack.encode(raw))), KEY.public_key())


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "../../etc"},
        {"id": "/srv"},
        {"id": "0" * 31},
        {"id": "0" * 32 + "\n"},
        {"id": "A" * 32},
        {"id": "0" * 400},
        {"at": "1900-01-01T00:00:00+00:00"},
        {"at": "2026-12-01T00:00:00"},
        {"at": "2026-12-01T00:00:00+23:59"},
        {"at": "2026-12-01T00:00:00+00:00\n"},
        {"by": "x" * 5000},
        {"events": ["x"] * 300},
        {"events": ["x" * 5000]},
        {"after": -1},
    ],
)
def test_a_change_whose_id_time_or_length_is_none_is_refused_before_anything_is_done_with_it(
    changes: dict[str, object],
) -> None:
    message = encode_change(body(**changes), KEY)
    with pytest.raises(MessageError, match="its body cannot be read"):
        verify_change(message, KEY.public_key())
    with pytest.raises(MessageError, match="its body cannot be read"):
        unverified_change(message)


def test_a_long_change_says_how_much_it_does_not_say() -> None:
    told = sentences([f"event {number}" for number in range(1000)])
    assert (len(told), told[-1]) == (200, "and 801 more")
    assert sentences(["x" * 5000]) == ["x" * 1024]


@pytest.mark.parametrize("text", ["2026-13-01T00:00:00+00:00", "2026-02-30T00:00:00+00:00", "now", "", 7, None])
def test_what_only_looks_like_a_time_is_none(text: object) -> None:
    assert not is_canonical_time(text)
    assert is_canonical_time(AT)
