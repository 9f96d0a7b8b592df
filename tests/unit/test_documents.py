"""The generated documents match the code; to update them, run scripts/make-docs."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from make_docs import TABLES, with_table  # noqa: E402 -- scripts are not a package
from make_man import command_page, settings_page  # noqa: E402

from telnetsd.config.documents import page, sections  # noqa: E402
from telnetsd.config.key import keys_of  # noqa: E402

PAGES = {"telnetsd.8": command_page, "telnetsd.toml.5": settings_page}


@pytest.mark.parametrize("name", PAGES)
def test_a_man_page_matches_the_code(name: str) -> None:
    """To update it, run scripts/make-docs."""
    assert (ROOT / "docs" / name).read_text() == PAGES[name]()


def test_every_verb_and_every_setting_is_in_its_man_page() -> None:
    commands, settings = command_page(), settings_page()
    for verb in ("serve", "top", "user add", "audit verify", "ca rotate", "recording play"):
        assert f".SS {verb}" in commands
    for key in ("drain_timeout_s", "per_source", "crl_policy", "retention_days", "map_type"):
        assert f".B {key}" in settings
    assert "workers PLAN" not in commands


def test_the_page_of_the_configuration_matches_the_code() -> None:
    """To update it, run scripts/make-docs."""
    assert (ROOT / "docs" / "configuration.md").read_text() == page()


@pytest.mark.parametrize(("path", "name"), TABLES)
def test_a_table_in_a_document_matches_the_code(path: Path, name: str) -> None:
    """To update it, run scripts/make-docs."""
    text = path.read_text()
    assert with_table(text, name) == text


def test_every_key_has_a_meaning_without_a_final_full_stop() -> None:
    for header, section, about in sections():
        for field, key in keys_of(section):
            assert key.meaning, f"{header} {field.name}"
            assert not key.meaning.endswith("."), f"{header} {field.name}"
        assert about.meaning
