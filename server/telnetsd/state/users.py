"""The table of users and their roles."""

import sqlite3
from datetime import datetime

from telnetsd.errors import OperatorError
from telnetsd.identity.outcome import User
from telnetsd.state.certificates import Certificates
from telnetsd.state.pins import Pins
from telnetsd.state.records import UserRecord, to_text, to_time


class Users:
    """Users, by name."""

    def __init__(self, database: sqlite3.Connection, certificates: Certificates, pins: Pins) -> None:
        self._database = database
        self._certificates = certificates
        self._pins = pins

    def has(self, name: str) -> bool:
        """Tell whether there is a user of that name."""
        return self._database.execute("SELECT 1 FROM users WHERE name = ?", (name,)).fetchone() is not None

    def names(self) -> list[str]:
        """Return every user's name, sorted."""
        return [name for (name,) in self._database.execute("SELECT name FROM users ORDER BY name")]

    def roles(self, name: str) -> tuple[str, ...]:
        """Return a user's roles, sorted."""
        rows = self._database.execute("SELECT role FROM user_roles WHERE user_name = ? ORDER BY role", (name,))
        return tuple(role for (role,) in rows)

    def find(self, name: str) -> UserRecord | None:
        """Return what is known of a user."""
        row = self._database.execute("SELECT added_at, is_mapped FROM users WHERE name = ?", (name,)).fetchone()
        return None if row is None else self._record(name, *row)

    def require(self, name: str) -> UserRecord:
        """Return what is known of a user.

        Raises:
            OperatorError: There is none of that name.
        """
        found = self.find(name)
        if found is None:
            raise OperatorError(f"no user {name!a}; see: telnetsd user list")
        return found

    def every(self) -> list[UserRecord]:
        """Return every user, by name."""
        rows = self._database.execute("SELECT name, added_at, is_mapped FROM users ORDER BY name").fetchall()
        return [self._record(*row) for row in rows]

    def add(self, user: User, at: datetime, *, is_mapped: bool) -> None:
        """Add a user; inside a transaction.

        Raises:
            OperatorError: There is a user of that name.
        """
        try:
            self._database.execute("INSERT INTO users VALUES (?, ?, ?)", (user.name, to_text(at), int(is_mapped)))
        except sqlite3.IntegrityError:
            raise OperatorError(f"there is a user {user.name} already; see: telnetsd user show {user.name}") from None
        self._database.execute("DELETE FROM removed_users WHERE name = ?", (user.name,))
        self._add_roles(user)

    def change(self, user: User, *, is_mapped: bool) -> None:
        """Give a user other roles, and say whether entries of other CAs may name them; inside a transaction."""
        self._database.execute("UPDATE users SET is_mapped = ? WHERE name = ?", (int(is_mapped), user.name))
        self._database.execute("DELETE FROM user_roles WHERE user_name = ?", (user.name,))
        self._add_roles(user)

    def remove(self, name: str) -> None:
        """Take a user away; the name stays known, and the certificates, to be on the CRL. Inside a transaction."""
        self._database.execute("DELETE FROM users WHERE name = ?", (name,))
        self._database.execute("INSERT OR IGNORE INTO removed_users VALUES (?)", (name,))

    def was_removed(self, name: str) -> bool:
        """Tell whether a user of that name was taken away, and nobody was added since."""
        return self._database.execute("SELECT 1 FROM removed_users WHERE name = ?", (name,)).fetchone() is not None

    def _add_roles(self, user: User) -> None:
        rows = [(user.name, role) for role in user.roles]
        self._database.executemany("INSERT INTO user_roles VALUES (?, ?)", rows)

    def _record(self, name: str, added_at: str, is_mapped: int) -> UserRecord:
        return UserRecord(
            user=User(name, self.roles(name)),
            added_at=to_time(added_at),
            is_mapped=bool(is_mapped),
            certificates=self._certificates.of_user(name),
            pins=self._pins.of_user(name),
        )
