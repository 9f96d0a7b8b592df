"""The table of the kinds of lines."""

import importlib
import pkgutil

from telnetsd.lines import kinds
from telnetsd.lines.kinds.kind import LineKind
from telnetsd.lines.kinds.table import KINDS


def test_every_kind_has_a_row_in_the_table() -> None:
    modules = (
        importlib.import_module(f"{kinds.__name__}.{one.name}") for one in pkgutil.iter_modules(kinds.__path__)
    )
    declared = [kind for module in modules for kind in vars(module).values() if isinstance(kind, LineKind)]
    missing = sorted({kind.name for kind in declared} - {kind.name for kind in KINDS})
    assert not missing, f"add a row to lines/kinds/table.py for {', '.join(missing)}"
