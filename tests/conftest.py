"""Fixtures that unit tests and end-to-end tests share."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from support.client import Client, connect_as
from support.lines import OpenTerminal, Terminal
from support.machine import SLOWNESS
from support.schema import judge_file
from support.server import MEASURING, RunningServer
from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.initialise import initialise
from telnetsd.administration.users.credentials import GeneratedKey
from telnetsd.administration.users.users import NewUser, add_user
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.keys import KeyType

settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100)
settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that runs only the tests that take minutes."""
    parser.addoption("--long", action="store_true", help="run the tests that take minutes, and no others")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Scale the timeout of each test to the speed of this machine, before the timeout plugin reads it."""
    config.option.timeout = config.option.timeout or float(config.getini("timeout")) * SLOWNESS


def pytest_report_header() -> str:
    """Say by how much deadlines are extended."""
    return f"deadlines: {SLOWNESS:.1f} times as long as on the reference machine"


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run asynchronous tests on the event loop of the server."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True, scope="session")
def judged_logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[Path]]:
    """Check the logs that fixtures of modules have left against the schema; the set has those of tests."""
    judged: set[Path] = set()
    yield judged
    others = set(tmp_path_factory.getbasetemp().rglob("audit*.jsonl")) - judged
    problems = [f"{log}: {problem}" for log in sorted(others) for problem in judge_file(log)]
    assert not problems, "in a log of a module's fixture, and not of the test named here:\n" + "\n".join(problems)


@pytest.fixture(autouse=True)
def events_are_held_against_the_schema(request: pytest.FixtureRequest, judged_logs: set[Path]) -> Iterator[None]:
    """Check every log that a test has left against the schema, when its servers have ended."""
    folder = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    logs = set(folder.rglob("audit*.jsonl")) if folder is not None else set()
    judged_logs |= logs
    assert [problem for log in sorted(logs) for problem in judge_file(log)] == []


def stop_measuring(environment: pytest.MonkeyPatch) -> None:
    for name in MEASURING:
        environment.delenv(name, raising=False)


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn off coverage measurement in the processes that a test starts."""
    stop_measuring(monkeypatch)


@pytest.fixture(autouse=True, scope="module")
def processes_of_unmeasured_modules_run_as_fast_as_they_can(request: pytest.FixtureRequest) -> Iterator[None]:
    """Turn off coverage measurement in the processes of a module, if other modules run the same code paths."""
    with pytest.MonkeyPatch.context() as environment:
        if request.node.get_closest_marker("unmeasured"):
            stop_measuring(environment)
        yield


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that were not requested; run the longest tests first, so that the others run beside them."""
    is_long_run = config.getoption("--long")
    left_out = [one for one in items if (one.get_closest_marker("long") is not None) != is_long_run]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [one for one in items if one not in left_out]
    items.sort(key=lambda one: one.get_closest_marker("first") is None)


@pytest.fixture(scope="session")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home folder with alice (operator, RSA), bob (user) and ed (user, Ed25519); tests use copies of it."""
    home = Home(tmp_path_factory.mktemp("made"))
    initialise(home, ())
    for name, role, key_type in (
        ("alice", "operator", KeyType.RSA),
        ("bob", "user", KeyType.EC),
        ("ed", "user", KeyType.ED25519),
    ):
        add_user(home, NewUser(User(name, (role,))), GeneratedKey(key_type), Grant())
    return home


@pytest.fixture
def home(made_home: Home, tmp_path: Path) -> Home:
    """A home folder for a single test."""
    shutil.copytree(made_home.root, tmp_path / "home", dirs_exist_ok=True)
    return Home(tmp_path / "home")


@pytest.fixture(scope="module")
def shared_settings() -> str:
    """The configuration of the shared server; a module can override it."""
    return ""


@pytest.fixture(scope="module")
def server(
    made_home: Home, tmp_path_factory: pytest.TempPathFactory, shared_settings: str
) -> Iterator[RunningServer]:
    """A running server that the tests of one module share; each test looks at its own connections."""
    home = Home(tmp_path_factory.mktemp("shared") / "home")
    shutil.copytree(made_home.root, home.root)
    if shared_settings:
        home.config_file.write_text(shared_settings)
    running = RunningServer(home)
    yield running
    assert running.stop() == "", "the server wrote to standard error"


@pytest.fixture
def start(home: Home) -> Iterator[Callable[..., RunningServer]]:
    """Start a server on the test's own home folder; it stops when the test ends."""
    running: list[RunningServer] = []

    def run(toml: str = "", **options: Any) -> RunningServer:
        if toml:
            home.config_file.write_text(toml)
        running.append(RunningServer(home, **options))
        return running[-1]

    yield run
    for one in running:
        if one.process.poll() is None:
            assert "Traceback" not in one.stop()
        elif one.process.stderr is not None:
            one.process.stderr.close()


@pytest.fixture
def connect(server: RunningServer) -> Iterator[Callable[..., Client]]:
    """Connect to the shared server, as a user of the home folder or as a guest."""
    clients: list[Client] = []

    def open_client(user: str | None = None, **options: Any) -> Client:
        clients.append(connect_as(server, user, **options))
        return clients[-1]

    yield open_client
    for one in clients:
        one.tls.close()


@pytest.fixture
def enter(connect: Callable[..., Client]) -> Callable[..., Client]:
    """Connect to the shared server, and read up to the prompt."""

    def open_session(user: str | None = None) -> Client:
        client = connect(user)
        client.read_until()
        return client

    return open_session


@pytest.fixture
def terminal() -> Iterator[OpenTerminal]:
    """Log a user in with a raw client; the connection is closed when the test ends."""
    with contextlib.ExitStack() as clients:

        def open_terminal(server: RunningServer, user: str) -> Terminal:
            client = clients.enter_context(connect_as(server, user))
            client.read_until()
            return Terminal(client)

        yield open_terminal
