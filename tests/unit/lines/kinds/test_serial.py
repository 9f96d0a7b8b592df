"""What a line needs before it can be opened."""

import sys

import pytest

from telnetsd.errors import OperatorError
from telnetsd.lines.kinds.serial import KIND


def test_serial_lines_are_refused_where_their_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    KIND.require()
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(OperatorError, match=r"run: pip install 'telnetsd\[serial\]'"):
        KIND.require()
