"""The layering contract. scripts/test checks that it holds; these tests check that it fails when it should."""

import os
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]


def check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    # The coverage of the copy is not measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "server" / "telnetsd", tmp_path / "telnetsd", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_package_keeps_the_contract(copy: Path) -> None:
    assert check(copy).returncode == 0


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("pki/trust.py", "from telnetsd.identity import outcome", "imports point downwards only"),
        ("telnet/protocol.py", "from telnetsd.tls import engine", "imports point downwards only"),
        ("audit/log.py", "from telnetsd import state", "imports point downwards only"),
        ("identity/identify.py", "import asyncio", "the pure parts know no event loop"),
        ("telnet/line_discipline.py", "import telnetlib3", "the pure parts know no event loop"),
        ("lines/escape.py", "import asyncio", "the pure parts know no event loop"),
        ("session/session.py", "from OpenSSL import SSL", "only tls imports OpenSSL"),
        ("connection/acceptor.py", "import telnetlib3", "only telnet imports telnetlib3"),
        ("lines/kinds/telnet.py", "import telnetlib3", "only telnet imports telnetlib3"),
        ("administration/authority/trust.py", "from telnetsd.administration import users", "inside a package"),
        ("fleet/agent.py", "import nats", "only fleet.connection imports nats"),
        ("administration/installation/turn.py", "from telnetsd.fleet import agent", "imports point downwards only"),
    ],
)
def test_an_import_in_the_wrong_direction_breaks_the_contract(
    module: str, line: str, contract: str, copy: Path
) -> None:
    path = copy / "telnetsd" / module
    path.write_text(f"{path.read_text()}\n{line}\n")
    done = check(copy)
    assert done.returncode == 1
    assert f"{contract}" in done.stdout
    assert "BROKEN" in done.stdout


def test_a_server_of_no_fleet_and_a_verb_import_nothing_of_the_engine() -> None:
    modules = "telnetsd.daemon.server, telnetsd.cli.user.adding, telnetsd.cli.session, telnetsd.daemon.workers.worker"
    names = "{'nats', 'nkeys', 'telnetsd.fleet'}"
    look = f"sorted(one for one in sys.modules if one in {names})"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; print({look})"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_module_outside_the_contract_breaks_it(copy: Path) -> None:
    (copy / "telnetsd" / "helpers.py").write_text('"""No duty."""\n')
    done = check(copy)
    assert done.returncode == 1
    assert "helpers" in done.stdout


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for types alone count as well; a circle is named in the error."""
    graph = grimp.build_graph("telnetsd", cache_dir=None)
    TopologicalSorter({one: graph.find_modules_directly_imported_by(one) for one in graph.modules}).prepare()
