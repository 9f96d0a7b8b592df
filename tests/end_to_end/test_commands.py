"""The commands, as their users type them."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from support.client import Client, connect_as
from support.machine import DEADLINE_S
from support.server import RunningServer, get
from telnetsd.files.home import Home


@pytest.fixture
def alice(enter: Callable[..., Client]) -> Client:
    return enter("alice")


@pytest.fixture
def bob(enter: Callable[..., Client]) -> Client:
    return enter("bob")


@pytest.fixture
def guest(enter: Callable[..., Client]) -> Client:
    return enter()


def denials(server: RunningServer, client: Client) -> list[tuple[str, str]]:
    return [
        (get(event, "telnetsd.command.line"), event["event"]["reason"]) for event in server.denials_from(client.port)
    ]


def test_help_lists_exactly_the_commands_that_its_reader_may_use(alice: Client, bob: Client, guest: Client) -> None:
    def names(client: Client) -> list[str]:
        return [line.split()[0] for line in client.command("help").splitlines()]

    everyone = ["ca", "collect", "enroll", "help", "motd", "quit", "whoami"]
    users = sorted([*everyone, "connect", "date", "echo", "history", "lines", "renew", "who"])
    assert names(guest) == everyone
    assert names(bob) == users
    assert names(alice) == sorted([*users, "audit", "kick", "recordings", "sessions", "wall"])


def test_help_explains_one_command(alice: Client, guest: Client) -> None:
    assert alice.command("help kick") == "usage: kick ID\nend a session; ID as shown by `sessions`"
    assert "also: logout, exit" in guest.command("help quit")
    assert guest.command("help kick").startswith(
        "permission denied: `kick` requires the role operator; you are a guest: "
    )


@pytest.mark.parametrize(
    "line", ["who", "date", "history", "echo hi", "sessions", "kick abcd", "wall hi", "audit", "audit 5"]
)
def test_a_guest_is_denied_other_commands_with_a_message_that_names_the_required_role(
    line: str, guest: Client, server: RunningServer
) -> None:
    said = guest.command(line)
    assert re.match(
        rf"permission denied: `{line.split(maxsplit=1)[0]}` requires the role .*(user|operator);"
        " you are a guest: connect with a certificate",
        said,
    )
    assert denials(server, guest) == [(line, "role-missing")]


def test_a_user_is_denied_operator_commands(bob: Client, server: RunningServer) -> None:
    said = bob.command("kick abcd")
    assert said == "permission denied: `kick` requires the role operator; you have the role user: ask the operator"
    assert denials(server, bob) == [("kick abcd", "role-missing")]


def test_an_unknown_command_gets_a_suggestion_from_the_permitted_commands(
    bob: Client, guest: Client, server: RunningServer
) -> None:
    assert bob.command("hepl") == "no command hepl; did you mean help?"
    assert guest.command("histroy") == "no command histroy; try help"
    assert bob.command("x\x1b[31m") == r"no command x\x1b[31m; try help"
    assert denials(server, bob) == [("hepl", "unknown-command"), (r"x\x1b[31m", "unknown-command")]


def test_wrong_arguments_print_the_usage(alice: Client, server: RunningServer) -> None:
    assert alice.command("kick") == "usage: kick ID"
    assert alice.command("date now") == "usage: date"
    assert alice.command("audit many") == "usage: audit [N], N from 1 to 200"
    assert denials(server, alice) == [("kick", "wrong-usage"), ("date now", "wrong-usage")]


def test_whoami_shows_the_certificate_in_full(bob: Client) -> None:
    said = bob.command("whoami")
    for expected in (
        r"^user         bob$",
        r"^roles        user$",
        r"^subject      CN=bob$",
        r"^issuer       CN=telnetsd CA \S+$",
        r"^serial       [0-9A-F]{30,40}$",
        r"^valid        \d{4}-\d\d-\d\d \d\d:\d\d to \d{4}-\d\d-\d\d \d\d:\d\d UTC$",
        r"^days left    364$",
        r"^key          EC secp256r1, 256 bits$",
        r"^signature    ecdsa-with-SHA256$",
        r"^fingerprint  SHA256:[0-9a-f]{64}$",
        r"^connection   TLS 1\.3, TLS_AES_256_GCM_SHA384, \S+$",
        r"^from         127\.0\.0\.1:\d+$",
    ):
        assert re.search(expected, said, re.MULTILINE), expected


def test_who_lists_all_sessions_and_marks_the_current_one(bob: Client, guest: Client) -> None:
    lines = bob.command("who").splitlines()
    assert any(re.match(r"bob +\d{4}-\d\d-\d\d \d\d:\d\d +0s  -  \(this session\)$", line) for line in lines)
    assert any(line.startswith("guest ") for line in lines)


def test_history_lists_the_lines_of_the_session(bob: Client) -> None:
    bob.command("echo one")
    bob.command("nonsense")
    assert bob.command("history") == "  1  echo one\n  2  nonsense\n  3  history"


def test_motd_and_date_print_the_message_of_the_day_and_the_time(bob: Client) -> None:
    assert bob.command("motd") == "no message today"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", bob.command("date"))


@pytest.mark.parametrize("word", ["quit", "logout", "exit"])
def test_quit_logout_and_exit_end_the_session(
    word: str, connect: Callable[..., Client], server: RunningServer
) -> None:
    client = connect()
    client.read_until()
    client.send(word.encode() + b"\r\n")
    assert client.read_to_end() == "goodbye\r\n"
    assert server.session_from(client.port, "session-ended")["event"]["reason"] == "quit"


def test_an_operator_lists_sessions_and_ends_one_with_a_message_and_an_event(
    alice: Client, bob: Client, server: RunningServer
) -> None:
    row = next(line for line in alice.command("sessions").splitlines() if f":{bob.port} " in line)
    session = row.split()[0]
    assert re.search(r" bob .* verified +1\.3 +-$", row)
    assert alice.command(f"kick {session}") == f"session {session} of bob has ended"
    assert bob.read_to_end() == "\r\n*** alice has ended this session\r\n"
    kicked = server.session_from(bob.port, "session-kicked")
    assert get(kicked, "user.name") == "bob"
    assert get(kicked, "telnetsd.operator.name") == "alice"
    assert server.session_from(bob.port, "session-ended")["event"]["reason"] == "kicked"
    assert alice.command(f"kick {session}") == f"no session {session}: see `sessions`"
    failed = server.session_from(alice.port, "command-failed")
    assert failed["event"]["reason"] == "not-found"


def test_wall_reaches_all_sessions_escaped_and_leaves_them_at_their_prompt(alice: Client, bob: Client) -> None:
    alice.send(b"wall back at \x1b[5mfive\r\n")
    assert bob.read_until() == "\r\n*** alice to all: back at \\x1b[5mfive\r\nbob> "
    assert bob.command("echo ok") == "ok"


def test_audit_shows_the_end_of_the_log_to_an_operator(alice: Client, bob: Client) -> None:
    bob.command("echo shown in the log")
    assert re.search(r"S bob +command-executed +echo shown in the log", alice.command("audit 5"))
    assert len(alice.command("audit").splitlines()) == 10


def test_roles_and_their_commands_come_from_the_configuration(start: Callable[..., RunningServer]) -> None:
    server = start(
        '[roles.guest]\ncommands = ["quit", "date"]\n[roles.user]\nincludes = ["guest"]\ncommands = ["audit"]\n'
    )
    with connect_as(server) as guest, connect_as(server, "bob") as bob:
        assert "guests may use: date, quit" in guest.read_until()
        assert guest.command("whoami").startswith("permission denied: `whoami` is granted by no role")
        bob.read_until()
        assert re.fullmatch(r"\d{4}.*Z", bob.command("date"))
        assert "server-started" in bob.command("audit 50")


PLUGIN = """
from telnetsd.commands.table import command


@command("greet", summary="say hello", role="guest", usage="NAME", arguments=(1, 1))
async def greet(caller, arguments):
    caller.say(f"hello {arguments}")


@command("broken", summary="fail", role="guest")
async def broken(caller, arguments):
    raise RuntimeError("a fault of the plugin")
"""


@pytest.fixture
def plugin_path(tmp_path: Path) -> Path:
    """An installed package that provides two commands, as pip would have installed it."""
    folder = tmp_path / "plugins"
    metadata = folder / "greetings-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "greetings.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[telnetsd.commands]\ngreet = greetings:greet\nbroken = greetings:broken\n"
    )
    return folder


def test_commands_of_other_packages_are_loaded_and_their_exceptions_do_not_end_the_session(
    start: Callable[..., RunningServer], plugin_path: Path
) -> None:
    server = start(PYTHONPATH=str(plugin_path))
    with connect_as(server) as guest:
        assert "guests may use: broken, ca, collect, enroll, greet, help" in guest.read_until()
        assert guest.command("greet world") == "hello world"
        said = guest.command("broken")
        assert said == "broken failed; the operator can find the cause in the server's output"
        assert guest.command("greet again") == "hello again"
        failed = server.session_from(guest.port, "command-failed")
        assert failed["event"]["reason"] == "internal-error"
    assert "a fault of the plugin" in server.stop()


def test_an_entry_point_that_is_not_a_command_prevents_startup_with_a_one_line_error(
    home: Home, plugin_path: Path, tmp_path: Path
) -> None:
    (plugin_path / "greetings.py").write_text("greet = broken = 1\n")
    command = [sys.executable, "-m", "telnetsd", "serve", "--home", str(home.root), "--listen", "127.0.0.1:0"]
    environment = {**os.environ, "PYTHONPATH": str(plugin_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: command '\w+' \(greetings:\w+\) is not a telnetsd\.commands\.table\.Command; .*\n", done.stderr
    )


def test_the_example_in_the_docs_works(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "docs" / "example-command"
    project = tomllib.loads((example / "pyproject.toml").read_text())["project"]
    metadata = tmp_path / "example-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0\n")
    entries = project["entry-points"]["telnetsd.commands"]
    lines = [f"{name} = {value}" for name, value in entries.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[telnetsd.commands]", *lines]))
    server = start(PYTHONPATH=os.pathsep.join([str(tmp_path), str(example)]))
    with connect_as(server, "bob") as bob, connect_as(server) as guest:
        bob.read_until()
        guest.read_until()
        assert re.fullmatch(r"\d+\.\d hours", bob.command("uptime"))
        assert re.fullmatch(r"\d+\.\d days", bob.command("uptime days"))
        assert bob.command("uptime minutes") == "usage: uptime [days]"
        assert guest.command("uptime").startswith("permission denied: `uptime` requires the role user or operator")
