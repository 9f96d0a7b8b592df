"""Where the audit log ended when it was last closed, as the state remembers it: that is left of a log that is gone.

It is no secret and no proof; whoever can remove the log and change the state leaves no trace here, and an exported
checkpoint is what shows it then.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path


class AuditHead:
    """The memory of one home folder; it neither makes the state, nor waits for who writes to it.

    Args:
        path: The state.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[int, str]:
        """Return the sequence number and the SHA-256 of the line that was the last; 0 where nothing is remembered."""
        with contextlib.suppress(sqlite3.Error), self._opened() as database:
            row = database.execute("SELECT sequence, sha256 FROM audit_head").fetchone()
            if row is not None:
                return int(row[0]), str(row[1])
        return 0, ""

    def write(self, sequence: int, sha256: str) -> bool:
        """Remember a line; False while another process writes to the state: a later line is remembered then."""
        try:
            with self._opened() as database:
                database.execute("INSERT OR REPLACE INTO audit_head VALUES (1, ?, ?)", (sequence, sha256))
        except sqlite3.Error:
            return False
        return True

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(
            f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None
        )
        try:
            yield database
        finally:
            database.close()
