"""Counting whole TLS records in a stream that is cut anywhere."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from telnetsd.tls.records import RecordCounter


def record(length: int) -> bytes:
    return b"\x17\x03\x03" + length.to_bytes(2) + b"x" * length


@given(
    lengths=st.lists(st.integers(0, 40), max_size=12),
    cuts=st.lists(st.integers(0, 600), max_size=20),
    tail=st.integers(0, 44),
)
def test_any_split_of_the_stream_counts_the_same_records(lengths: list[int], cuts: list[int], tail: int) -> None:
    unfinished = record(40)[:tail]
    data = b"".join(record(length) for length in lengths) + unfinished
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    counter = RecordCounter()
    for start, end in pairwise(bounds):
        counter.feed(data[start:end])
    assert counter.whole == len(lengths)
