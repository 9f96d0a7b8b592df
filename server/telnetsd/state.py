"""The operator's state in SQLite: users, their roles, and the certificates that were issued to them.

The server reads while command lines write (WAL); each write is one transaction. A lookup goes to the database each
time, so that a user who was added or taken away is so at once.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from telnetsd.errors import OperatorError
from telnetsd.home import SECRET_FILE_MODE
from telnetsd.identity.outcome import User

SCHEMA_VERSION: Final = 1
_BUSY_TIMEOUT_S: Final = 10.0
_SCHEMA: Final = """
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    added_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE user_roles (
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (user_name, role)
) STRICT, WITHOUT ROWID;
CREATE TABLE certificates (
    sha256 TEXT PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    issuer_sha256 TEXT NOT NULL,
    spki_sha256 TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    public_key TEXT NOT NULL,
    not_before TEXT NOT NULL,
    not_after TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX certificates_by_key ON certificates (issuer_sha256, spki_sha256, user_name);
CREATE INDEX certificates_by_user ON certificates (user_name, not_after);
"""


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate that the built-in CA issued; hashes and the serial number in hexadecimal, times aware, UTC."""

    sha256: str
    issuer_sha256: str
    spki_sha256: str
    serial_number: str
    public_key: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class UserRecord:
    """Everything that is known of a user; the certificates newest first."""

    user: User
    added_at: datetime
    certificates: tuple[IssuedCertificate, ...]


class State:
    """The database of one home folder.

    Raises:
        OperatorError: It cannot be opened, or is of a newer telnetsd.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.touch(SECRET_FILE_MODE)
            self._database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("PRAGMA foreign_keys = ON")
            self._migrate(path)
        except (OSError, sqlite3.Error) as error:
            raise OperatorError(f"cannot open {path}: {error}; check its mode, or put back a backup") from error

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make what is written inside happen whole, or, when an exception leaves it, not at all."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def user_of(self, issuer_sha256: str, spki_sha256: str) -> User | None:
        """Return the user to whom this CA issued a certificate for this public key."""
        row = self._database.execute(
            "SELECT user_name FROM certificates WHERE issuer_sha256 = ? AND spki_sha256 = ?",
            (issuer_sha256, spki_sha256),
        ).fetchone()
        return None if row is None else User(row[0], self._roles(row[0]))

    def find_user(self, name: str) -> UserRecord | None:
        """Return what is known of a user."""
        row = self._database.execute("SELECT added_at FROM users WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        return UserRecord(User(name, self._roles(name)), _to_time(row[0]), self._certificates(name))

    def list_users(self) -> list[UserRecord]:
        """Return every user, by name."""
        rows = self._database.execute("SELECT name, added_at FROM users ORDER BY name").fetchall()
        return [
            UserRecord(User(name, self._roles(name)), _to_time(added_at), self._certificates(name))
            for name, added_at in rows
        ]

    def add_user(self, user: User, certificate: IssuedCertificate, at: datetime) -> None:
        """Add a user with the certificate that was issued to them; inside a transaction.

        Raises:
            OperatorError: There is a user of that name.
        """
        try:
            self._database.execute("INSERT INTO users VALUES (?, ?)", (user.name, _from_time(at)))
        except sqlite3.IntegrityError:
            raise OperatorError(f"there is a user {user.name} already; see: telnetsd user show {user.name}") from None
        self._database.executemany("INSERT INTO user_roles VALUES (?, ?)", [(user.name, role) for role in user.roles])
        self._database.execute(
            "INSERT INTO certificates VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                certificate.sha256,
                user.name,
                certificate.issuer_sha256,
                certificate.spki_sha256,
                certificate.serial_number,
                certificate.public_key,
                _from_time(certificate.not_before),
                _from_time(certificate.not_after),
            ),
        )

    def _migrate(self, path: Path) -> None:
        with self.transaction():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > SCHEMA_VERSION:
                raise OperatorError(f"{path} was written by a newer telnetsd; install that one")
            if version == 0:
                # executescript() would commit the transaction behind our back.
                for statement in _SCHEMA.split(";"):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _roles(self, name: str) -> tuple[str, ...]:
        rows = self._database.execute("SELECT role FROM user_roles WHERE user_name = ? ORDER BY role", (name,))
        return tuple(role for (role,) in rows)

    def _certificates(self, name: str) -> tuple[IssuedCertificate, ...]:
        rows = self._database.execute(
            "SELECT sha256, issuer_sha256, spki_sha256, serial_number, public_key, not_before, not_after"
            " FROM certificates WHERE user_name = ? ORDER BY not_before DESC, sha256",
            (name,),
        )
        return tuple(
            IssuedCertificate(sha256, issuer, spki, serial, key, _to_time(not_before), _to_time(not_after))
            for sha256, issuer, spki, serial, key, not_before, not_after in rows
        )


def _from_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _to_time(text: str) -> datetime:
    return datetime.fromisoformat(text)
