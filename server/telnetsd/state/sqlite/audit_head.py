"""Where the audit log ended when it was last closed, as the state remembers it: the evidence if the log is gone.

It is neither a secret nor a proof. An attacker who can remove the log and change the state leaves no trace here:
only an exported checkpoint then shows what happened.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path


class AuditHead:
    """The memory of one home folder; it never creates the state, and never waits for a process that writes to it.

    Args:
        path: The state.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[int, str]:
        """Return the sequence number and the SHA-256 of the last line; 0 if no line is remembered."""
        with contextlib.suppress(sqlite3.Error), self._opened() as database:
            row = database.execute("SELECT sequence, sha256 FROM audit_head").fetchone()
            if row is not None:
                return int(row[0]), str(row[1])
        return 0, ""

    def write(self, sequence: int, sha256: str) -> bool:
        """Remember a line; False if another process is writing to the state: a later line is remembered instead."""
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
