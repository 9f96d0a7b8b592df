"""The files that are installed with the program, and the metadata of the package."""

import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from support.machine import DEADLINE_S
from telnetsd import __version__

pytestmark = pytest.mark.unmeasured

ROOT = Path(__file__).resolve().parents[2]
DATA = {
    "share/man/man8/telnetsd.8": "docs/telnetsd.8",
    "share/man/man5/telnetsd.toml.5": "docs/telnetsd.toml.5",
    "share/telnetsd/audit-events.schema.json": "docs/audit-events.schema.json",
    "share/telnetsd/grafana-dashboard.json": "docs/grafana-dashboard.json",
    "share/telnetsd/prometheus-alerts.yml": "docs/prometheus-alerts.yml",
    "share/telnetsd/vector.toml": "docs/vector.toml",
    "lib/systemd/system/telnetsd.service": "scripts/telnetsd.service",
    "lib/systemd/system/telnetsd-init.service": "scripts/telnetsd-init.service",
    "lib/systemd/system/telnetsd.socket": "scripts/telnetsd.socket",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_carries_man_pages_units_dashboard_and_alert_rules(wheel: zipfile.ZipFile) -> None:
    prefix = f"telnetsd-{__version__}.data/data/"
    installed = {name.removeprefix(prefix): wheel.read(name) for name in wheel.namelist() if name.startswith(prefix)}
    assert installed == {name: (ROOT / source).read_bytes() for name, source in DATA.items()}


def test_the_wheel_has_every_module_and_nothing_else_of_the_checkout(wheel: zipfile.ZipFile) -> None:
    modules = {str(path.relative_to(ROOT / "server")) for path in (ROOT / "server").rglob("*.py")}
    packaged = {name for name in wheel.namelist() if not name.startswith(f"telnetsd-{__version__}.")}
    assert packaged == modules | {"telnetsd/py.typed"}


def test_the_metadata_names_version_licence_and_python(wheel: zipfile.ZipFile) -> None:
    said = metadata(wheel)
    assert (said["Version"], said["License-Expression"], said["Requires-Python"]) == (
        __version__,
        "Apache-2.0",
        ">=3.11",
    )
    assert said.get_all("License-File") == ["LICENSE"]
    assert "License ::" not in str(said.get_all("Classifier"))


def test_the_changelog_has_a_dated_section_for_this_version() -> None:
    heads = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    if heads[0] == "## Unreleased":
        heads = heads[1:]
    assert heads[0].startswith(f"## {__version__} - 20")
