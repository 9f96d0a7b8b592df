"""A connection to SQLite that raises the store's errors."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from telnetsd.errors import StoreConflictError, StoreError

BUSY_TIMEOUT_S: Final = 10.0
_PRAGMAS: Final = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "recursive_triggers = ON")
"""How every connection works; with the last one, a row that another one replaces is captured as removed."""
Row = tuple[Any, ...]
"""The values in a row of SQLite: None, int, str or bytes."""


class Database:
    """One connection; each statement is its own transaction, unless one is open.

    Raises:
        StoreError: The database cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        with _store_errors():
            self._connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            try:
                for pragma in _PRAGMAS:
                    self._connection.execute(f"PRAGMA {pragma}")
            except BaseException:
                self._connection.close()
                raise

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection.in_transaction

    def execute(self, statement: str, values: Iterable[object] = ()) -> None:
        """Execute a statement."""
        with _store_errors():
            self._connection.execute(statement, tuple(values))

    def execute_many(self, statement: str, rows: Iterable[Row]) -> None:
        """Execute a statement once for each row of values."""
        with _store_errors():
            self._connection.executemany(statement, rows)

    def row(self, statement: str, values: Iterable[object] = ()) -> Row | None:
        """Return the first row of a result; None for an empty one."""
        with _store_errors():
            found: Row | None = self._connection.execute(statement, tuple(values)).fetchone()
            return found

    def one_row(self, statement: str, values: Iterable[object] = ()) -> Row:
        """Return the first row of a result that has one.

        Raises:
            StoreError: The result is empty.
        """
        found = self.row(statement, values)
        if found is None:
            raise StoreError("state.db: a record has disappeared; try again")
        return found

    def rows(self, statement: str, values: Iterable[object] = ()) -> list[Row]:
        """Return the rows of a result."""
        with _store_errors():
            return self._connection.execute(statement, tuple(values)).fetchall()

    def copy_to(self, path: Path) -> None:
        """Write a copy to an empty file."""
        self.execute("VACUUM INTO ?", (str(path),))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextmanager
def _store_errors() -> Iterator[None]:
    """Convert an error of SQLite into an error of the store."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise StoreConflictError(f"state.db: {error}") from error
    except sqlite3.Error as error:
        raise StoreError(f"state.db: {error}; try again, or restore a backup") from error
