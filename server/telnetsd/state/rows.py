"""Rows that one node of a fleet changed, as values: what another node needs to make the same change.

A change names its row by the primary key. `put` writes a whole row, `set` some columns of one that exists, and `cut`
removes one. A `set` of a row that does not exist, or a `cut`, changes nothing.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from telnetsd.errors import StoreError

RowValue = int | str | bytes | None
"""A value in a row."""


class RowError(StoreError):
    """A change names a table or a column that this version does not know."""


class RowChange(msgspec.Struct, frozen=True, array_like=True):
    """One row that was changed.

    Attributes:
        op: What happened to the row.
        table: The table.
        key: The columns of the primary key, with their values before the change.
        values: The other columns; those of the key only if `set` changes them.
    """

    op: Literal["put", "set", "cut"]
    table: str
    key: dict[str, Any]
    values: dict[str, Any] = {}

    def __post_init__(self) -> None:
        """Refuse what is no value of a row; msgspec has no union of text and bytes.

        Raises:
            TypeError: It is none; msgspec makes an error of its own of that.
            ValueError: It is a number that SQLite does not have; likewise.
        """
        for value in (*self.key.values(), *self.values.values()):
            if not isinstance(value, RowValue) or isinstance(value, bool):
                raise TypeError(f"a row has no value of the type {type(value).__name__}")
            if isinstance(value, int) and not -(2**63) <= value < 2**63:
                raise ValueError(f"a row has no number of {value.bit_length()} bits")


@dataclass(frozen=True, slots=True)
class Captured:
    """What a transaction changed.

    Attributes:
        rows: The changes, in their order.
        undo: What brings back the state before them, in the order in which it is to be applied.
    """

    rows: list[RowChange] = field(default_factory=list)
    undo: list[RowChange] = field(default_factory=list)
