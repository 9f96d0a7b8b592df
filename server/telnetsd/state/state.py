"""The database of one home folder.

The server reads while command lines write (WAL); each write is one transaction. A lookup goes to the database each
time, so that a user who was added or taken away is so at once, and `version` tells when somebody else has written.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from telnetsd.errors import OperatorError
from telnetsd.files.atomic import SECRET_FILE_MODE
from telnetsd.identity.outcome import User
from telnetsd.pki.revocation import Revocation
from telnetsd.state.certificates import Certificates
from telnetsd.state.pins import Pins
from telnetsd.state.requests import Requests
from telnetsd.state.schema import is_current, migrate
from telnetsd.state.users import Users

_BUSY_TIMEOUT_S: Final = 10.0


def require_state(path: Path) -> None:
    """Refuse to go on where there is no state: opening it would make one.

    Raises:
        OperatorError: There is none.
    """
    if not path.exists():
        raise OperatorError(f"no state at {path}; is this the home folder? to make one: telnetsd init")


def open_state(path: Path) -> "State":
    """Open the state of an installation that there is.

    Raises:
        OperatorError: There is none, or it cannot be opened.
    """
    require_state(path)
    return State(path)


class State:
    """The tables of one home folder.

    Raises:
        OperatorError: It cannot be opened, or is of a newer telnetsd.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.touch(SECRET_FILE_MODE)
            database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            self._database = database
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA foreign_keys = ON")
            if not is_current(database):
                with self.transaction():
                    migrate(database, path)
        except (OSError, sqlite3.Error) as error:
            raise OperatorError(f"cannot open {path}: {error}; check its mode, or put back a backup") from error
        self.certificates = Certificates(database)
        self.pins = Pins(database)
        self.users = Users(database, self.certificates, self.pins)
        self.requests = Requests(database)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside happen whole, or, when an exception leaves it, not at all."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            # A COMMIT that failed may have rolled back by itself.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def version(self) -> int:
        """Return a number that is another one once somebody else has written."""
        (number,) = self._database.execute("PRAGMA data_version").fetchone()
        return int(number)

    # What identity asks: see identity.register.

    def user_of(self, issuer_sha256: str, serial_number: str, spki_sha256: str) -> User | None:
        """Return the user to whom this CA issued this certificate, unless it was revoked."""
        row = self._database.execute(
            "SELECT user_name FROM certificates JOIN users ON name = user_name"
            " WHERE issuer_sha256 = ? AND serial_number = ? AND spki_sha256 = ? AND revoked_at IS NULL",
            (issuer_sha256, serial_number, spki_sha256),
        ).fetchone()
        return None if row is None else User(row[0], self.users.roles(row[0]))

    def pinned_user(self, spki_sha256: str) -> User | None:
        """Return the user for whom this public key was accepted, unless that was taken back."""
        row = self._database.execute(
            "SELECT user_name FROM pins JOIN users ON name = user_name WHERE spki_sha256 = ? AND revoked_at IS NULL",
            (spki_sha256,),
        ).fetchone()
        return None if row is None else User(row[0], self.users.roles(row[0]))

    def revocation_of(self, issuer_sha256: str, serial_number: str) -> Revocation | None:
        """Return the revocation of a certificate that this CA issued."""
        return self.certificates.revocation_of(issuer_sha256, serial_number)

    def revocation_of_pin(self, spki_sha256: str) -> Revocation | None:
        """Return since when an accepted public key is accepted no more."""
        pin = self.pins.find(spki_sha256)
        return None if pin is None else pin.revocation

    def mapped_user(self, name: str) -> User | None:
        """Return the user of that name, if entries of other CAs may name them."""
        row = self._database.execute("SELECT 1 FROM users WHERE name = ? AND is_mapped", (name,)).fetchone()
        return None if row is None else User(name, self.users.roles(name))

    def is_taken(self, name: str) -> bool:
        """Tell whether there is a user of that name, or was one who was removed."""
        return self.users.has(name) or self.users.was_removed(name)

    def is_issued(self, issuer_sha256: str, serial_number: str) -> bool:
        """Tell whether this CA issued this certificate to a user."""
        return self.certificates.has(issuer_sha256, serial_number)

    # What makes a change of files and tables whole: see administration.change.

    def note_change(self, change_id: str) -> None:
        """Note, in the transaction of a change, that its files are to be put in place."""
        self._database.execute("INSERT INTO changes VALUES (?)", (change_id,))

    def forget_change(self, change_id: str) -> None:
        """Note that the files of a change are in place."""
        self._database.execute("DELETE FROM changes WHERE id = ?", (change_id,))

    def has_change(self, change_id: str) -> bool:
        """Tell whether a change was made whose files may not be in place yet."""
        row = self._database.execute("SELECT 1 FROM changes WHERE id = ?", (change_id,)).fetchone()
        return row is not None
