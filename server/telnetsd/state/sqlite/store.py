"""The store in SQLite: its tables, and the lookups that identity needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from telnetsd.errors import OperatorError, StoreError
from telnetsd.files.atomic import SECRET_FILE_MODE
from telnetsd.identity.outcome import User
from telnetsd.pki.revocation import Revocation
from telnetsd.state.sqlite.certificates import Certificates
from telnetsd.state.sqlite.database import Database
from telnetsd.state.sqlite.fleet_tables import FleetTables
from telnetsd.state.sqlite.pins import Pins
from telnetsd.state.sqlite.replication import Replication
from telnetsd.state.sqlite.requests import Requests
from telnetsd.state.sqlite.schema import is_current, migrate
from telnetsd.state.sqlite.users import Users


class SqliteStore:
    """See `state.store.Store`.

    Args:
        path: The database; created if there is none.

    Raises:
        OperatorError: The database cannot be opened, or a newer telnetsd wrote it.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.touch(SECRET_FILE_MODE)
            database = self._database = Database(path)
            try:
                if not is_current(database):
                    with self.transaction():
                        migrate(database, path)
            except BaseException:
                database.close()
                raise
        except (OSError, StoreError) as error:
            raise OperatorError(f"cannot open {path}: {error}; check its mode, or restore a backup") from error
        self.certificates = Certificates(database)
        self.pins = Pins(database)
        self.users = Users(database, self.certificates, self.pins)
        self.requests = Requests(database)
        self.fleet = FleetTables(database)
        self.replication = Replication(database)

    def close(self) -> None:
        """See Store."""
        self._database.close()

    def copy_to(self, path: Path) -> None:
        """See Store."""
        path.touch(SECRET_FILE_MODE, exist_ok=False)
        self._database.copy_to(path)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See Store."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            # A COMMIT that failed may have rolled back already.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def version(self) -> int:
        """See Register."""
        (number,) = self._database.one_row("PRAGMA data_version")
        return int(number)

    # The lookups that identity needs: see identity.register.

    def user_of(self, issuer_sha256: str, serial_number: str, spki_sha256: str) -> User | None:
        """See Register."""
        row = self._database.row(
            "SELECT user_name FROM certificates JOIN users ON name = user_name"
            " WHERE issuer_sha256 = ? AND serial_number = ? AND spki_sha256 = ? AND revoked_at IS NULL",
            (issuer_sha256, serial_number, spki_sha256),
        )
        return None if row is None else User(row[0], self.users.roles(row[0]))

    def pinned_user(self, spki_sha256: str) -> User | None:
        """See Register."""
        row = self._database.row(
            "SELECT user_name FROM pins JOIN users ON name = user_name WHERE spki_sha256 = ? AND revoked_at IS NULL",
            (spki_sha256,),
        )
        return None if row is None else User(row[0], self.users.roles(row[0]))

    def revocation_of(self, issuer_sha256: str, serial_number: str) -> Revocation | None:
        """See Register."""
        return self.certificates.revocation_of(issuer_sha256, serial_number)

    def revocation_of_pin(self, spki_sha256: str) -> Revocation | None:
        """See Register."""
        pin = self.pins.find(spki_sha256)
        return None if pin is None else pin.revocation

    def mapped_user(self, name: str) -> User | None:
        """See Register."""
        row = self._database.row("SELECT 1 FROM users WHERE name = ? AND is_mapped", (name,))
        return None if row is None else User(name, self.users.roles(name))

    def is_taken(self, name: str) -> bool:
        """See Register."""
        return self.users.has(name) or self.users.was_removed(name) or self.users.renamed_to(name) is not None

    def is_issued(self, issuer_sha256: str, serial_number: str) -> bool:
        """See Register."""
        return self.certificates.has(issuer_sha256, serial_number)

    # Support for atomic changes of files and tables: see administration.installation.change.

    def note_change(self, change_id: str) -> None:
        """See Store."""
        self._database.execute("INSERT INTO changes VALUES (?)", (change_id,))

    def forget_change(self, change_id: str) -> None:
        """See Store."""
        self._database.execute("DELETE FROM changes WHERE id = ?", (change_id,))

    def forget_changes(self) -> None:
        """See Store."""
        self._database.execute("DELETE FROM changes")

    def has_change(self, change_id: str) -> bool:
        """See Store."""
        row = self._database.row("SELECT 1 FROM changes WHERE id = ?", (change_id,))
        return row is not None
