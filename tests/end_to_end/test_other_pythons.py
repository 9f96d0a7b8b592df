"""The other supported versions of Python, where they are installed: the unit tests pass, and a server is shown."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.machine import DEADLINE_S

pytestmark = [pytest.mark.long, pytest.mark.unmeasured]

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.12", "3.13")


def find(version: str) -> str | None:
    """Return a Python of this version: of pyenv, whose commands on the path may do nothing, or on the path."""
    kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return next(map(str, kept), None) or shutil.which(f"python{version}")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("version", VERSIONS)
def test_the_unit_tests_pass_with_another_python(version: str, tmp_path: Path) -> None:
    python = find(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST"))}

    def run(*words: str | Path) -> str:
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20 * DEADLINE_S, check=False
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    vectors = subprocess.run(
        [sys.executable, "-m", "pip", "freeze"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    run(python, "-m", "venv", tmp_path / "venv")
    own = tmp_path / "venv" / "bin"
    needed = [one for one in vectors if one.startswith("cryptography")]
    run(own / "pip", "install", "--quiet", "--editable", ".[dev]", *needed)
    assert " passed" in run(own / "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", "tests/unit")
    assert "audit verify" in run(own / "telnetsd", "demo")
