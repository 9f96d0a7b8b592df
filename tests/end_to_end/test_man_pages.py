"""The man pages, as a manual viewer reads them."""

import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["telnetsd.8", "telnetsd.toml.5"])
def test_a_man_page_has_no_lint_warnings(name: str) -> None:
    command = ["mandoc", "-T", "lint", "-W", "warning", str(DOCS / name)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    # A page that is generated again at each change has no date of its own.
    assert [one for one in found if "missing date" not in one] == []
