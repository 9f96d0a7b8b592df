"""docs/controls.md names settings, verbs, events and tests that there are."""

import re
from pathlib import Path

import pytest

from telnetsd.cli.lazy_verb import Group, Verb
from telnetsd.cli.verbs import VERBS
from telnetsd.config.documents import sections
from telnetsd.config.key import keys_of
from telnetsd.events.catalogue import ACTIONS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "controls.md").read_text()
STANDARDS = ("PCI DSS 4.0", "NIST SP 800-53 Rev. 5", "IEC 62443-3-3", "NERC CIP-005-7 and CIP-007-6")
ENTRY = re.compile(r"^- \*\*(.+?)\*\*(.*?)(?=^- |^## |\Z)", re.MULTILINE | re.DOTALL)


def named(kind: str) -> set[str]:
    """Return what the page has in backticks after a word such as Events, of any entry."""
    found: set[str] = set()
    for _, content in ENTRY.findall(TEXT):
        for listed in re.findall(rf"{kind}: ((?:`[^`]+`[,;]?\s*)+)", content, re.IGNORECASE):
            found.update(" ".join(one.split()) for one in re.findall(r"`([^`]+)`", listed))
    return found


def every_setting() -> set[str]:
    return {f"{header} {field.name}" for header, section, _ in sections() for field, _ in keys_of(section)}


def every_verb() -> set[str]:
    groups = [one for one in VERBS if isinstance(one, Group)]
    alone = [one.name for one in VERBS if isinstance(one, Verb)]
    return {*alone, *(f"{group.name} {verb.name}" for group in groups for verb in group.verbs)}


def every_test() -> set[str]:
    sources = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for source in sources for name in re.findall(r"^(?:async )?def (test_\w+)", source, re.MULTILINE)}


@pytest.mark.parametrize(
    ("kind", "known"),
    [("Settings", every_setting()), ("Verbs", every_verb()), ("Events", set(ACTIONS)), ("Tests", every_test())],
    ids=["settings", "verbs", "events", "tests"],
)
def test_what_the_page_names_is_there(kind: str, known: set[str]) -> None:
    assert len(named(kind)) >= 10
    assert named(kind) - known == set()


def test_every_control_of_the_four_standards_names_a_test() -> None:
    assert tuple(re.findall(r"^## (.+)$", TEXT, re.MULTILINE)) == STANDARDS
    entries = ENTRY.findall(TEXT)
    assert len(entries) >= 60
    assert [name for name, content in entries if "Tests: `test_" not in content] == []
    assert set(re.findall(r"`(test_\w+)`", TEXT)) == named("Tests")
