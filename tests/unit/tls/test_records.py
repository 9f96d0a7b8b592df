"""Cutting a stream into whole TLS records, wherever it was cut before."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.tls.records import RECORD_WIRE_MAX_BYTES, RecordSplitter


def record(length: int) -> bytes:
    return b"\x17\x03\x03" + length.to_bytes(2) + b"x" * length


@given(
    lengths=st.lists(st.integers(0, 40), max_size=12),
    cuts=st.lists(st.integers(0, 600), max_size=20),
    tail=st.integers(0, 44),
)
def test_any_split_of_the_stream_yields_the_same_records(lengths: list[int], cuts: list[int], tail: int) -> None:
    records = [record(length) for length in lengths]
    data = b"".join(records) + record(40)[:tail]
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    splitter, given_out = RecordSplitter(), []
    for start, end in pairwise(bounds):
        splitter.feed(data[start:end])
        while splitter.has_record:
            given_out.append(splitter.take())
    assert given_out == records


def test_an_oversized_record_is_passed_on_at_once_for_the_engine_to_refuse() -> None:
    splitter = RecordSplitter()
    splitter.feed(b"\x16\x03\x01" + (RECORD_WIRE_MAX_BYTES + 1).to_bytes(2) + b"abc")
    assert splitter.has_record
    assert splitter.take().endswith(b"abc")
    assert not splitter.has_record
