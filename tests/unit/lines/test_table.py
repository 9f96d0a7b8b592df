"""The table of the configured lines."""

from pathlib import Path

import pytest

from telnetsd.config.settings import LineSettings
from telnetsd.lines.table import LineTable

TABLE = LineTable(
    (
        LineSettings(name="switch-1", target="tcp://127.0.0.1:1", server_name="switch-1.example"),
        LineSettings(name="switch-2", target="tcp://127.0.0.1:1"),
    ),
    Path(),
)


@pytest.mark.parametrize(
    ("server_name", "line"),
    [
        ("switch-1.example", "switch-1"),
        ("SWITCH-1.example", "switch-1"),
        ("switch-1.example.", "switch-1"),
        ("switch-1.example..", None),
        ("other.example", None),
        (".", None),
        ("", None),
    ],
)
def test_a_server_name_leads_to_its_line_in_any_case_and_with_a_trailing_dot(
    server_name: str, line: str | None
) -> None:
    found = TABLE.by_server_name(server_name)
    assert (found.name if found else None) == line
