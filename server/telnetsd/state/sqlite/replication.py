"""Capturing which shared rows a transaction changes, and making the same changes in another database.

Capturing uses temporary triggers, which exist on one connection alone. A trigger notes a row as JSON; a value that
JSON does not have, a BLOB, is noted as a list of its hexadecimal digits.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from telnetsd.state.rows import Captured, RowChange, RowError, RowValue
from telnetsd.state.sqlite.database import Database

SHARED_TABLES: Final = (
    "users",
    "user_roles",
    "certificates",
    "pins",
    "requests",
    "crl_numbers",
    "removed_users",
    "former_names",
    "fleet_nodes",
    "fleet_invitations",
)
"""The tables whose rows are the same on every node; a table comes after those that its foreign keys name."""
_Values = dict[str, RowValue]


@dataclass(frozen=True, slots=True)
class _Table:
    """A shared table: its columns, and those of its primary key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    def key_of(self, row: _Values) -> _Values:
        return {column: row[column] for column in self.key}

    def put(self, row: _Values) -> RowChange:
        others = {column: value for column, value in row.items() if column not in self.key}
        return RowChange("put", self.name, self.key_of(row), others)

    def cut(self, row: _Values) -> RowChange:
        return RowChange("cut", self.name, self.key_of(row))

    def set(self, before: _Values, after: _Values) -> RowChange:
        changed = {column: value for column, value in after.items() if value != before[column]}
        return RowChange("set", self.name, self.key_of(before), changed)


class Replication:
    """See `state.store.ReplicationTable`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, _Table] = {}

    @contextmanager
    def capturing(self) -> Iterator[Captured]:
        """See ReplicationTable; what was captured is complete when the block has ended."""
        captured = Captured()
        for statement in self._triggers():
            self._database.execute(statement)
        # The triggers stay: what was changed since then, outside such a block, is of no interest.
        self._database.execute("DELETE FROM temp.captured")
        yield captured
        for table, before, after in self._database.rows("SELECT tab, before, after FROM temp.captured ORDER BY n"):
            self._note(captured, self._tables[table], before, after)
        captured.undo.reverse()

    @property
    def _tables(self) -> dict[str, _Table]:
        if not self._known:
            for name in SHARED_TABLES:
                columns = self._database.rows(f"PRAGMA table_info({name})")
                names = tuple(column for _, column, *_ in columns)
                key = [(number, column) for _, column, _, _, _, number in columns if number]
                self._known[name] = _Table(name, names, tuple(column for _, column in sorted(key)))
        return self._known

    def _triggers(self) -> Iterator[str]:
        yield (
            "CREATE TEMP TABLE IF NOT EXISTS captured"
            " (n INTEGER PRIMARY KEY, tab TEXT NOT NULL, before TEXT, after TEXT)"
        )
        for table in self._tables.values():
            old, new = (_as_json(table, row) for row in ("OLD", "NEW"))
            for event, before, after in (("INSERT", "NULL", new), ("UPDATE", old, new), ("DELETE", old, "NULL")):
                yield (
                    f"CREATE TEMP TRIGGER IF NOT EXISTS captured_{table.name}_{event} AFTER {event}"
                    f" ON main.{table.name} BEGIN INSERT INTO captured (tab, before, after)"
                    f" VALUES ('{table.name}', {before}, {after}); END"
                )

    @staticmethod
    def _note(captured: Captured, table: _Table, before: str | None, after: str | None) -> None:
        old, new = _from_json(before), _from_json(after)
        if old is None and new is not None:
            captured.rows.append(table.put(new))
            captured.undo.append(table.cut(new))
        elif new is None and old is not None:
            captured.rows.append(table.cut(old))
            captured.undo.append(table.put(old))
        elif old is not None and new is not None and old != new:
            captured.rows.append(table.set(old, new))
            captured.undo.append(table.set(new, old))

    def apply(self, rows: Iterable[RowChange]) -> None:
        """See ReplicationTable."""
        for row in rows:
            self._apply(self._table_of(row), row)

    def _apply(self, table: _Table, row: RowChange) -> None:
        key, values = tuple(row.key.values()), tuple(row.values.values())
        where = " AND ".join(f"{column} = ?" for column in row.key)
        if row.op == "cut":
            self._database.execute(f"DELETE FROM {table.name} WHERE {where}", key)
            return
        if row.op == "set":
            assignments = ", ".join(f"{column} = ?" for column in row.values)
            self._database.execute(f"UPDATE {table.name} SET {assignments} WHERE {where}", (*values, *key))
            return
        columns = (*row.key, *row.values)
        replaced = ", ".join(f"{column} = excluded.{column}" for column in row.values)
        conflict = f"DO UPDATE SET {replaced}" if replaced else "DO NOTHING"
        self._database.execute(
            f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            f" ON CONFLICT ({', '.join(row.key)}) {conflict}",
            (*key, *values),
        )

    def _table_of(self, row: RowChange) -> _Table:
        """Return the table of a change whose names are all known: they become a part of a statement.

        Raises:
            RowError: The table or a column is not known, or the key is not the primary key.
        """
        table = self._tables.get(row.table)
        if table is None:
            raise RowError(f"state.db: a change names the table {row.table!a}, which this version does not have")
        unknown = [column for column in row.values if column not in table.columns]
        if unknown or sorted(row.key) != sorted(table.key):
            wrong = unknown[0] if unknown else ", ".join(row.key)
            raise RowError(f"state.db: a change names the column {wrong!a} of {row.table}, which it does not have")
        if row.op == "set" and not row.values:
            raise RowError(f"state.db: a change of {row.table} changes nothing")
        return table

    def everything(self) -> list[RowChange]:
        """See ReplicationTable."""
        changes = []
        for table in self._tables.values():
            rows = self._database.rows(f"SELECT {', '.join(table.columns)} FROM {table.name}")
            changes += [table.put(dict(zip(table.columns, row, strict=True))) for row in rows]
        return changes

    def clear(self) -> None:
        """See ReplicationTable."""
        for name in reversed(SHARED_TABLES):
            self._database.execute(f"DELETE FROM {name}")

    def keep_pending(self, change_id: str, body: bytes) -> None:
        """See ReplicationTable."""
        statement = (
            "INSERT INTO fleet_pending (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
        )
        self._database.execute(statement, (change_id, body))

    def pending(self) -> list[tuple[str, bytes]]:
        """See ReplicationTable."""
        return [
            (one, body) for one, body in self._database.rows("SELECT id, body FROM fleet_pending ORDER BY number")
        ]

    def forget_pending(self, change_id: str) -> None:
        """See ReplicationTable."""
        self._database.execute("DELETE FROM fleet_pending WHERE id = ?", (change_id,))


def _as_json(table: _Table, row: str) -> str:
    """Return the expression that notes a row of a trigger: OLD or NEW."""
    values = (
        f"'{column}', CASE WHEN typeof({row}.{column}) = 'blob' THEN json_array(hex({row}.{column}))"
        f" ELSE {row}.{column} END"
        for column in table.columns
    )
    return f"json_object({', '.join(values)})"


def _from_json(text: str | None) -> _Values | None:
    if text is None:
        return None
    return {
        column: bytes.fromhex(value[0]) if isinstance(value, list) else value
        for column, value in json.loads(text).items()
    }
