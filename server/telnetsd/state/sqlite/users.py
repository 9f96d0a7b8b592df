"""The table of users and their roles."""

from datetime import datetime
from typing import Final

from telnetsd.errors import OperatorError, StoreConflictError
from telnetsd.identity.outcome import User
from telnetsd.state.records import UserRecord, to_text, to_time
from telnetsd.state.sqlite.certificates import Certificates
from telnetsd.state.sqlite.database import Database
from telnetsd.state.sqlite.pins import Pins

_RENAME: Final = (
    "INSERT INTO users SELECT ?, added_at, is_mapped FROM users WHERE name = ?",
    "UPDATE user_roles SET user_name = ? WHERE user_name = ?",
    "UPDATE certificates SET user_name = ? WHERE user_name = ?",
    "UPDATE pins SET user_name = ? WHERE user_name = ?",
    "UPDATE requests SET user_name = ? WHERE user_name = ?",
    "UPDATE former_names SET user_name = ? WHERE user_name = ?",
    "DELETE FROM users WHERE ? <> name AND name = ?",
)
"""What gives everything of a user another name; each takes the new name, and then the old one."""


class Users:
    """See `state.store.UserTable`."""

    def __init__(self, database: Database, certificates: Certificates, pins: Pins) -> None:
        self._database = database
        self._certificates = certificates
        self._pins = pins

    def has(self, name: str) -> bool:
        """See UserTable."""
        return self._database.row("SELECT 1 FROM users WHERE name = ?", (name,)) is not None

    def names(self) -> list[str]:
        """See UserTable."""
        return [name for (name,) in self._database.rows("SELECT name FROM users ORDER BY name")]

    def roles(self, name: str) -> tuple[str, ...]:
        """See UserTable."""
        rows = self._database.rows("SELECT role FROM user_roles WHERE user_name = ? ORDER BY role", (name,))
        return tuple(role for (role,) in rows)

    def find(self, name: str) -> UserRecord | None:
        """See UserTable."""
        row = self._database.row("SELECT added_at, is_mapped FROM users WHERE name = ?", (name,))
        return None if row is None else self._record(name, *row)

    def require(self, name: str) -> UserRecord:
        """See UserTable."""
        found = self.find(name)
        if found is None:
            raise OperatorError(f"no user {name!a}; see: telnetsd user list")
        return found

    def every(self) -> list[UserRecord]:
        """See UserTable."""
        rows = self._database.rows("SELECT name, added_at, is_mapped FROM users ORDER BY name")
        return [self._record(*row) for row in rows]

    def add(self, user: User, at: datetime, *, is_mapped: bool) -> None:
        """See UserTable."""
        try:
            self._database.execute("INSERT INTO users VALUES (?, ?, ?)", (user.name, to_text(at), int(is_mapped)))
        except StoreConflictError:
            raise OperatorError(f"user {user.name} already exists; see: telnetsd user show {user.name}") from None
        self._database.execute("DELETE FROM removed_users WHERE name = ?", (user.name,))
        self._add_roles(user)

    def change(self, user: User, *, is_mapped: bool) -> None:
        """See UserTable."""
        self._database.execute("UPDATE users SET is_mapped = ? WHERE name = ?", (int(is_mapped), user.name))
        self._database.execute("DELETE FROM user_roles WHERE user_name = ?", (user.name,))
        self._add_roles(user)

    def remove(self, name: str) -> None:
        """See UserTable."""
        self._database.execute("DELETE FROM users WHERE name = ?", (name,))
        self._database.execute("INSERT OR IGNORE INTO removed_users VALUES (?)", (name,))

    def was_removed(self, name: str) -> bool:
        """See UserTable."""
        return self._database.row("SELECT 1 FROM removed_users WHERE name = ?", (name,)) is not None

    def rename(self, name: str, new: str) -> None:
        """See UserTable."""
        for statement in _RENAME:
            self._database.execute(statement, (new, name))
        self._database.execute("INSERT INTO former_names VALUES (?, ?)", (name, new))

    def former_names(self, name: str) -> tuple[str, ...]:
        """See UserTable."""
        rows = self._database.rows("SELECT name FROM former_names WHERE user_name = ? ORDER BY name", (name,))
        return tuple(former for (former,) in rows)

    def renamed_to(self, name: str) -> str | None:
        """See UserTable."""
        row = self._database.row("SELECT user_name FROM former_names WHERE name = ?", (name,))
        return None if row is None else row[0]

    def _add_roles(self, user: User) -> None:
        rows = [(user.name, role) for role in user.roles]
        self._database.execute_many("INSERT INTO user_roles VALUES (?, ?)", rows)

    def _record(self, name: str, added_at: str, is_mapped: int) -> UserRecord:
        return UserRecord(
            user=User(name, self.roles(name)),
            added_at=to_time(added_at),
            is_mapped=bool(is_mapped),
            certificates=self._certificates.of_user(name),
            pins=self._pins.of_user(name),
        )
