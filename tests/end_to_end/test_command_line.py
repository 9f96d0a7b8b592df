"""The command line as operators and scripts use it: its output, the files that it leaves, and its errors."""

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.client import connect_as
from support.command_line import done, refused, telnetsd
from support.machine import DEADLINE_S
from support.server import RunningServer, action_of, get, read_events
from support.terminal import shown_on_terminal
from telnetsd.config.loading import load_settings
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured


def program(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a verb in a process of its own, with the home folder named after the verb."""
    command = [sys.executable, "-m", "telnetsd", *words, "--home", str(home.root)]
    environment = {**os.environ, "COLUMNS": "80"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S, env=environment)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_init_makes_a_home_folder_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    done = program(home, "init", "--name", "console.example")
    assert done.returncode == 0
    assert "for console.example, localhost, 127.0.0.1, ::1, until " in done.stdout
    for secret in (home.ca_key, home.server_key, home.state_file):
        assert mode(secret) == 0o600
    for folder in (home.root / "certs", home.users_folder, home.audit_file.parent, home.control_socket.parent):
        assert mode(folder) == 0o700
    again = program(home, "init")
    assert again.returncode == 1
    assert again.stderr.startswith("error: a CA already exists: ")
    assert program(home, "check").returncode == 0


def test_init_refuses_an_invalid_name(tmp_path: Path) -> None:
    done = telnetsd(Home(tmp_path), "init", "--name", "zoë.example")
    assert done.returncode == 1
    assert done.stderr.startswith("error: not a host name: 'zoë.example'; ")
    assert list(tmp_path.iterdir()) == []


def test_user_add_writes_the_files_and_says_how_to_connect(home: Home) -> None:
    done = program(home, "user", "add", "carol", "--role", "operator", "--days", "10", "--key-type", "rsa")
    assert done.returncode == 0
    assert "added carol (operator), certificate valid until " in done.stdout
    for client in ("telnetsd connect", "openssl s_client", "ncat --ssl", "socat -", "gnutls-cli", "telnet-ssl"):
        assert f"\n  {client}" in done.stdout
    files = [home.users_folder / f"carol.{suffix}" for suffix in ("pem", "key", "p12")]
    assert [mode(path) for path in files] == [0o644, 0o600, 0o600]
    (leaf,) = x509.load_pem_x509_certificates(files[0].read_bytes())
    bundle = pkcs12.load_pkcs12(files[2].read_bytes(), None)
    assert bundle.cert is not None
    assert bundle.cert.certificate == leaf
    ca = x509.load_pem_x509_certificate(home.ca_certificate.read_bytes())
    assert [one.certificate for one in bundle.additional_certs] == [ca]
    leaf.verify_directly_issued_by(ca)


def test_a_users_certificate_has_the_profile_that_the_policy_defines(home: Home) -> None:
    (leaf,) = x509.load_pem_x509_certificates((home.users_folder / "bob.pem").read_bytes())
    ca = x509.load_pem_x509_certificate(home.ca_certificate.read_bytes())
    extensions = {type(one.value): one for one in leaf.extensions}
    assert extensions[x509.BasicConstraints].critical
    assert extensions[x509.BasicConstraints].value.ca is False
    assert extensions[x509.KeyUsage].critical
    assert extensions[x509.KeyUsage].value.digital_signature
    assert not extensions[x509.KeyUsage].value.key_cert_sign
    assert list(extensions[x509.ExtendedKeyUsage].value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert x509.SubjectAlternativeName not in extensions
    assert 2**100 < leaf.serial_number < 2**159
    leaf.verify_directly_issued_by(ca)
    authority = {type(one.value): one for one in ca.extensions}
    assert authority[x509.BasicConstraints].critical
    assert authority[x509.BasicConstraints].value == x509.BasicConstraints(ca=True, path_length=0)
    assert authority[x509.KeyUsage].critical
    assert authority[x509.KeyUsage].value.key_cert_sign


def test_user_add_is_logged_with_the_operator(home: Home) -> None:
    telnetsd(home, "user", "add", "carol")
    added, issued = read_events(home)[-2:]
    assert (action_of(added), action_of(issued)) == ("user-added", "certificate-issued")
    for event in (added, issued):
        assert get(event, "user.target") == {"name": "carol", "roles": ["user"]}
        assert get(event, "telnetsd.operator.name") == "root" or os.geteuid() != 0
        assert get(event, "user.name") is None
    assert get(issued, "tls.client.x509.subject.common_name") == ["carol"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bob"], "user bob already exists; see: telnetsd user show bob"),
        (
            ["Bob"],
            "'Bob' cannot be a user name; use 1 to 32 of a-z, 0-9, dot, dash, underscore, starting with a letter",
        ),
        (["../bob"], "'../bob' cannot be a user name"),
        (["guest"], "'guest' cannot be a user name"),
        (["carol", "--role", "opreator"], "unknown role 'opreator'; did you mean 'operator'?"),
        (["carol", "--days", "0"], "a certificate cannot be valid for 0 days; use 1 to 3650"),
    ],
)
def test_a_refused_user_add_leaves_nothing_behind(words: list[str], said: str, home: Home) -> None:
    files, events = sorted(home.users_folder.iterdir()), read_events(home)
    before = [path.read_bytes() for path in files]
    done = telnetsd(home, "user", "add", *words)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"error: {said}")
    assert sorted(home.users_folder.iterdir()) == files
    assert [path.read_bytes() for path in files] == before
    assert read_events(home) == events


def test_a_user_is_not_added_if_the_event_cannot_be_written(home: Home) -> None:
    home.audit_file.unlink()
    home.audit_file.mkdir()
    done = telnetsd(home, "user", "add", "carol")
    assert done.returncode == 1
    assert "error: cannot write the audit log: " in done.stderr
    assert not (home.users_folder / "carol.key").exists()
    assert telnetsd(home, "user", "show", "carol").returncode == 1


def test_users_are_listed_for_people_and_for_scripts(home: Home) -> None:
    table = telnetsd(home, "user", "list").stdout.splitlines()
    assert table[0].split() == ["user", "roles", "class", "devices", "last", "login", "until", "days"]
    assert [line.split()[:2] for line in table[1:]] == [["alice", "operator"], ["bob", "user"], ["ed", "user"]]
    users = json.loads(telnetsd(home, "user", "list", "--json").stdout)
    assert [one["user"]["name"] for one in users] == ["alice", "bob", "ed"]
    shown = telnetsd(home, "user", "show", "bob").stdout
    assert re.search(r"fingerprint  SHA256:[0-9a-f]{64}", shown)
    assert (
        json.loads(telnetsd(home, "user", "show", "bob", "--json").stdout)["certificates"][0]["serial_number"]
        in shown
    )
    nobody = telnetsd(home, "user", "show", "nobody")
    assert (nobody.returncode, nobody.stderr) == (1, "error: no user 'nobody'; see: telnetsd user list\n")


def test_sessions_are_listed_and_kicked_through_the_control_socket(start: Callable[..., RunningServer]) -> None:
    server = start()
    assert mode(server.home.control_socket) == 0o600
    with connect_as(server, "bob") as client:
        client.read_until()
        (row,) = json.loads(program(server.home, "session", "list", "--json").stdout)
        assert row["user"] == "bob"
        assert row["source"] == f"127.0.0.1:{client.port}"
        table = program(server.home, "session", "list").stdout
        assert re.search(rf"^{row['id'][-8:]} +bob +- +127\.0\.0\.1:{client.port} ", table, re.MULTILINE)
        assert "no sessions match 'zzzz'" in program(server.home, "session", "kick", "zzzz").stderr
        done = program(server.home, "session", "kick", row["id"][-8:])
        assert done.stdout == f"session {row['id'][-8:]} of bob has ended\n"
        assert re.search(r"\*\*\* \S+ \(control socket\) has ended this session", client.read_to_end())
        assert get(server.session_from(client.port, "session-kicked"), "telnetsd.operator.name")


def test_an_invalid_request_on_the_control_socket_does_no_harm(start: Callable[..., RunningServer]) -> None:
    server = start()
    for sent in (b"nonsense\n", b'{"verb":"launch"}\n', b'{"verb":7}\n', b"x" * 200_000 + b"\n", b""):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE_S)
            connection.connect(str(server.home.control_socket))
            try:
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(65536)
            except ConnectionError:
                answer = b""
            assert answer == b"" or b"error" in answer
    assert json.loads(telnetsd(server.home, "session", "list", "--json").stdout) == []
    assert server.stop() == ""


def test_session_list_without_a_server_is_an_error(home: Home) -> None:
    done = program(home, "session", "list")
    assert done.returncode == 1
    assert done.stderr == f"error: no server answers at {home.control_socket}; start it: telnetsd serve\n"


def serve_fails(home: Home, *words: str) -> str:
    done = program(home, "serve", "--listen", "127.0.0.1:0", *words)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_port_in_use_is_reported_with_the_process_that_uses_it(
    start: Callable[..., RunningServer], tmp_path: Path, home: Home
) -> None:
    other = Home(tmp_path / "other")
    shutil.copytree(home.certs_folder, other.certs_folder)
    shutil.copy(home.state_file, other.state_file)
    server = start()
    done = program(other, "serve", "--listen", f"127.0.0.1:{server.port}")
    assert done.returncode == 1
    said = f"error: cannot listen on 127.0.0.1:{server.port}: the port is in use by "
    assert done.stderr.startswith(said)
    assert re.search(rf"telnetsd serve .* \(process {server.process.pid}\); stop it, or choose another", done.stderr)


def test_a_second_server_on_the_same_home_is_refused(start: Callable[..., RunningServer], home: Home) -> None:
    server = start()
    said = f"a server is already running on this home folder: process {server.process.pid}; stop it first"
    assert serve_fails(home) == f"error: {said}\n"


def test_a_stale_control_socket_does_not_prevent_startup(start: Callable[..., RunningServer]) -> None:
    start().kill()
    start()


def test_a_key_readable_by_others_prevents_startup(home: Home) -> None:
    home.server_key.chmod(0o644)
    assert serve_fails(home) == (
        "error: private key open to others (mode 0644): certs/server.key; run: chmod 600 certs/server.key\n"
    )


def test_a_key_of_another_certificate_prevents_startup(home: Home) -> None:
    home.server_key.write_bytes((home.users_folder / "bob.key").read_bytes())
    assert serve_fails(home).startswith("error: certs/server.key is not the key of certs/server.pem; ")


def test_an_unusable_trust_anchor_prevents_startup(home: Home) -> None:
    (home.trust_folder / "odd.pem").write_bytes((home.users_folder / "bob.pem").read_bytes())
    expected = "error: not usable as a trust anchor: certs/trust/odd.pem: it is not a CA certificate; remove it or "
    assert serve_fails(home).startswith(expected)


def test_an_empty_folder_is_not_a_home_folder(tmp_path: Path) -> None:
    assert serve_fails(Home(tmp_path)) == (
        "error: no trust anchor: certs/ca.pem is missing and certs/trust is empty; run: telnetsd init\n"
    )


def test_check_names_the_errors_and_creates_nothing(home: Home, tmp_path: Path) -> None:
    home.config_file.write_text("[listener]\nlistne = 'x'\n")
    home.server_key.chmod(0o640)
    done = telnetsd(home, "check", "--json")
    assert done.returncode == 1
    verdicts = {one["part"]: (one["verdict"], one["message"]) for one in json.loads(done.stdout)}
    assert verdicts["configuration"] == (
        "error",
        "unknown key 'listne' in telnetsd.toml line 2; did you mean 'listen'?",
    )
    assert "CRLs" not in verdicts
    assert verdicts["server certificate"][0] == "error"
    assert verdicts["trust anchors"][0] == verdicts["state"][0] == "ok"
    empty = Home(tmp_path / "empty")
    empty.root.mkdir()
    assert telnetsd(empty, "check").returncode == 1
    assert list(empty.root.iterdir()) == []


def test_wrong_usage_has_exit_status_2(home: Home) -> None:
    assert program(home, "user", "add").returncode == 2
    assert program(home, "connect", "--guest", "--user", "bob").returncode == 2
    assert program(home, "launch").returncode == 2


def test_help_fits_one_screen() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "telnetsd", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    )
    lines = done.stdout.splitlines()
    assert len(lines) <= 40
    assert max(len(line) for line in lines) <= 80
    for verb in ("init", "serve", "connect", "check", "reload", "user", "request", "ca", "trust", "session", "audit"):
        assert f"\n  {verb} " in done.stdout


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["user", "list", "--expiring", "99999999999999d"], 2),
        (["user", "list", "--expiring", "soon"], 2),
        (["user", "show", "\udcff"], 2),
        (["request", "approve", "\udcff"], 2),
        (["user", "add", "nina", "--password-file", "/proc/self/exe"], 1),
        (["trust", "add", "/proc/self/exe"], 1),
        (["user", "explain", "/dev/null"], 1),
        (["user", "add", "nina", "--csr", "/"], 1),
        (["trust", "remove", ""], 1),
        (["trust", "remove", "abcd"], 1),
        (["ca", "retire", ""], 1),
        (["user", "revoke"], 2),
        (["user", "revoke", "bob", "--serial", "1"], 2),
        (["user", "change", "bob"], 2),
        (["user", "renew", "bob", "--csr", "x", "--new-key"], 2),
    ],
)
def test_invalid_arguments_are_reported_without_a_traceback(words: list[str], status: int, home: Home) -> None:
    finished = telnetsd(home, *words)
    assert finished.returncode == status
    assert "Traceback" not in finished.stderr
    assert status == 2 or finished.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    ["[" * 5000, f"x = {'9' * 5000}", "[classes.1]\noid = '0.99.1'\nname = 'a'\nchecked = 'b'\n"],
)
def test_an_extreme_configuration_is_an_error_of_one_line(text: str, home: Home) -> None:
    home.config_file.write_text(text)
    finished = telnetsd(home, "user", "add", "nina")
    assert finished.returncode == 1
    assert finished.stderr.startswith(("error: not valid TOML", "error: wrong value in telnetsd.toml"))
    assert finished.stderr.count("\n") == 1


def test_init_writes_the_address_to_listen_on(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    done(home, "init", "--listen", "[::]:992")
    assert load_settings(home.config_file).listener.listen == "[::]:992"
    # An interrupted init is repeated: the file that it wrote is not another configuration.
    home.ca_certificate.unlink()
    done(home, "init", "--listen", "[::]:992")
    home.ca_certificate.unlink()
    assert "exists; write the address there: [listener] listen" in refused(home, "init", "--listen", "[::]:993")
    assert "not an address: 'here'; write HOST:PORT" in refused(Home(tmp_path / "x"), "init", "--listen", "here")


def test_init_accepts_a_long_host_name(tmp_path: Path) -> None:
    home = Home(tmp_path / "long")
    assert telnetsd(home, "init", "--name", f"{'a' * 60}.{'b' * 60}.example").returncode == 0


def test_a_folder_in_place_of_a_file_is_reported_and_nothing_is_changed(home: Home) -> None:
    (home.users_folder / "nina.pem").mkdir()
    finished = telnetsd(home, "user", "add", "nina")
    assert finished.stderr == "error: certs/users/nina.pem is a folder, but must be a file; move it away\n"
    assert telnetsd(home, "user", "show", "nina").returncode == 1
    assert telnetsd(home, "user", "change", "bob", "--role", "operator").returncode == 0


def _completed(home: Home, words: str) -> list[str]:
    """Return what the shell is offered after some words; the last one may be incomplete."""
    environment = {
        **os.environ,
        "_TELNETSD_COMPLETE": "complete_bash",
        "COMP_WORDS": f"telnetsd --home {home.root} {words}",
        "COMP_CWORD": str(len(words.split(" ")) + 2),
    }
    command = [sys.executable, "-m", "telnetsd"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DEADLINE_S, env=environment)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("us", ["user"]),
        ("user re", ["rename", "renew", "revoke", "restore", "remove"]),
        ("user show ", ["alice", "bob", "ed"]),
        ("user revoke al", ["alice"]),
        ("line status ", ["console", "switch-1"]),
        ("audit tail --user b", ["bob"]),
        ("audit search --action session-r", ["session-refused"]),
    ],
)
def test_the_shell_completes_verbs_and_names(home: Home, words: str, offered: list[str]) -> None:
    lines = '[[line]]\nname = "{}"\ntarget = "exec:/bin/cat"\nroles = ["user"]\n'
    home.config_file.write_text(lines.format("switch-1") + lines.format("console"))
    assert _completed(home, words) == offered


def test_completion_offers_nothing_and_says_nothing_where_nothing_can_be_read(tmp_path: Path) -> None:
    for words in ("user show ", "line status ", "session kick ", "request show "):
        assert _completed(Home(tmp_path), words) == []


@pytest.mark.parametrize(
    ("verb", "columns"), [("ca show", 40), ("ca show", 80), ("ca show", 200), ("trust list", 80)]
)
def test_a_table_never_breaks_a_fingerprint(verb: str, columns: int, home: Home) -> None:
    shown = shown_on_terminal(
        [sys.executable, "-m", "telnetsd", *verb.split()],
        b"",
        cwd=home.root,
        env={"PATH": os.environ["PATH"], "COLUMNS": str(columns)},
    )
    assert len(re.findall(r"SHA256:[0-9a-f]{64}$", shown, re.MULTILINE)) == 1
    assert (columns < 200) == bool(re.search(r"^  SHA256:", shown, re.MULTILINE))
