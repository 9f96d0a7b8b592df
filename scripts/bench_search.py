"""What the search of recordings costs: making the index, its size, and how long the first page takes."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

from telnetsd.audit.compression import compress
from telnetsd.lines.recordings.asciicast import OUTPUT
from telnetsd.lines.recordings.recording import Recording
from telnetsd.lines.search.indexing import index_recordings
from telnetsd.lines.search.searching import Wanted, search
from telnetsd.telnet.terminal import Terminal

SEGMENT_BYTES: Final = 16 * 2**20
PIECE_BYTES: Final = 1500
BEGIN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_WORDS: Final = (
    "error failed link up down reset timeout queue stall remap flush write read sector buffer device ready transport",
    "offline online speed duplex full negotiated probe register firmware version loaded missing retry checksum",
    "invalid packet drop overrun carrier lost detected temperature threshold fan voltage supply redundant neighbor",
    "adjacency changed state established idle holdtime expired received sent notification route prefix withdrawn",
)
PATTERNS: Final = ("gigabitethernet2/0/47, changed", "zzzqqq", "10.7.133.", "checksum firmware probe", "error")


def measure_search(folder: Path, size: int) -> dict[str, str]:
    """Return each figure with its unit, by name.

    Args:
        folder: Where recordings and index are made.
        size: How much text the recordings have, in bytes.
    """
    recordings, index = folder / "recordings", folder / "index"
    _record(recordings, size)
    begun = time.process_time()
    index_recordings(recordings, index, is_checked=False, is_rebuilt=True, report=lambda _: None)
    seconds = time.process_time() - begun
    index_bytes = sum(path.stat().st_size for path in index.iterdir())
    name = f"search in {size / 2**30:.2g} GiB"
    figures = {
        f"{name}: making the index": f"{size / seconds / 1e6:.1f} MB/s",
        f"{name}: the index": f"{index_bytes / size:.2f} of the text",
    }
    for pattern in PATTERNS:
        begun = time.perf_counter()
        count = len(list(islice(search(recordings, index, Wanted(pattern=pattern), lambda _: None), 20)))
        figures[f"{name}: first page for {pattern!r}"] = f"{time.perf_counter() - begun:.2f} s ({count} matches)"
    return figures


def _record(folder: Path, size: int) -> None:
    """Record text like that of a console, in segments of one line that follow each other."""
    text, number = _text(), 0
    while number * SEGMENT_BYTES < size:
        at = BEGIN + timedelta(hours=number)
        path = folder / f"{at:%Y%m%dT%H%M%S.%f}-switch-{number % 20}-line.cast"
        recording = Recording(path, path.stem, Terminal())
        written = 0
        while written < min(SEGMENT_BYTES, size - number * SEGMENT_BYTES):
            piece = next(text)
            recording.note(OUTPUT, piece)
            written += len(piece)
        recording.close()
        compress(path)
        number += 1


def _text() -> Iterator[bytes]:
    numbers = random.Random(1)  # noqa: S311 -- text, and no secret
    while True:
        piece = ""
        while len(piece) < PIECE_BYTES:
            piece += _row(numbers)
        yield piece.encode()


def _row(numbers: random.Random) -> str:
    words = " ".join(numbers.choices(" ".join(_WORDS).split(), k=numbers.randint(3, 9)))
    port = f"GigabitEthernet{numbers.randint(1, 4)}/0/{numbers.randint(1, 48)}"
    address = f"10.{numbers.randint(0, 20)}.{numbers.randint(0, 255)}.{numbers.randint(1, 254)}"
    kind = numbers.random()
    if kind < 0.4:
        return f"[{numbers.random() * 90000:12.6f}] ixgbe: {words} 0x{numbers.getrandbits(32):08x}\r\n"
    if kind < 0.7:
        return f"sshd[{numbers.randint(300, 65000)}]: {words} from {address} port {numbers.randint(1024, 65535)}\r\n"
    return f"%LINK-3-UPDOWN: Interface {port}, changed state to {numbers.choice(('up', 'down'))}\r\n"
