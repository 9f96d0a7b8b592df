"""The man pages: made from the code, and sound."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from make_man import command_page, settings_page  # noqa: E402 -- scripts are no package

PAGES = {"telnetsd.8": command_page, "telnetsd.toml.5": settings_page}


@pytest.mark.parametrize("name", PAGES)
def test_a_man_page_is_as_the_code_says(name: str) -> None:
    """To make it anew: scripts/make-docs."""
    assert (ROOT / "docs" / name).read_text() == PAGES[name]()


@pytest.mark.parametrize("name", PAGES)
def test_a_man_page_is_sound(name: str) -> None:
    command = ["mandoc", "-T", "lint", "-W", "warning", str(ROOT / "docs" / name)]
    found = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    # What is made anew at each change has no date of its own.
    assert [one for one in found if "missing date" not in one] == []


def test_every_verb_and_every_setting_has_its_place() -> None:
    commands, settings = command_page(), settings_page()
    for verb in ("serve", "top", "user add", "audit verify", "ca rotate", "recording play"):
        assert f".SS {verb}" in commands
    for key in ("drain_timeout_s", "per_source", "crl_policy", "retention_days", "map_type"):
        assert f".B {key}" in settings
    assert "workers PLAN" not in commands
