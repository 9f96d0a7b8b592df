"""Reloading: a change drops no session, except those that lose their access, and an error changes nothing."""

import fcntl
import os
import signal
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from support.certificates import Recipe, make_ca, name, now
from support.client import Client, connect_as
from support.command_line import done, refused, telnetsd
from support.homes import fingerprint, write_pem
from support.openssl import OpensslClient
from support.openssl_ca import OpensslCa
from support.rsyslog import free_port
from support.server import RunningServer, action_of, get, wait_until

COMPANY = make_ca("Company CA")
MAPPED = f"""
[identity]
crl_policy = "prefer"
[[cert_to_name]]
id = "company"
fingerprint = "{fingerprint(COMPANY)}"
map_type = "common-name"
"""


@pytest.fixture
def company(start: Callable[..., RunningServer]) -> RunningServer:
    """A server that trusts the company's CA, with the user dora, whom that CA may name."""
    server = start(MAPPED)
    write_pem(server.home.trust_folder / "company.pem", COMPANY)
    done(server.home, "user", "add", "dora", "--mapped", "--role", "operator")
    done(server.home, "reload")
    return server


def dora(server: RunningServer, folder: Path) -> Client:
    return Client(
        server.port, server.home.ca_certificate, Recipe(subject=name("dora")).signed_by(COMPANY).save(folder, "d")
    )


def test_a_hangup_signal_reloads_without_dropping_a_session(start: Callable[..., RunningServer]) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        server.process.send_signal(signal.SIGHUP)
        event = server.wait_for(lambda one: action_of(one) == "server-reloaded")
        assert event["event"]["reason"] == "signal"
        assert client.command("date")


def test_a_changed_file_is_loaded_automatically(start: Callable[..., RunningServer]) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        server.home.config_file.write_text('[session]\nmotd = "tea at four"\n')
        wait_until(lambda: client.command("motd") == "tea at four", "the new motd")
        event = server.wait_for(lambda one: action_of(one) == "server-reloaded")
        assert event["event"]["reason"] == "files-changed"


def test_guests_are_disconnected_when_a_certificate_is_required_and_named_users_stay(
    start: Callable[..., RunningServer],
) -> None:
    server = start()
    with connect_as(server) as guest, connect_as(server, "bob") as bob:
        guest.read_until()
        bob.read_until()
        server.home.config_file.write_text("[identity]\nrequire_certificate = true\n")
        said = guest.read_to_end()
        assert "*** your client presented no certificate, and this server requires one" in said
        assert bob.command("date")
        assert server.session_from(guest.port, "session-ended")["event"]["reason"] == "no-certificate"


def weak_pair(server: RunningServer) -> None:
    pair = Recipe(key=rsa.generate_private_key(65537, 1024)).self_signed()
    certificate, key = pair.save(server.home.root, "weak")
    key.replace(server.home.server_key)
    certificate.replace(server.home.server_certificate)


def unknown_key(server: RunningServer) -> None:
    der = COMPANY.certificate.public_bytes(Encoding.DER)
    curve = bytes.fromhex("06082a8648ce3d030107")
    assert curve in der
    odd = x509.load_der_x509_certificate(der.replace(curve, curve[:-1] + b"\x7f"))
    (server.home.trust_folder / "odd.pem").write_bytes(odd.public_bytes(Encoding.PEM))


def write_config(server: RunningServer, text: str) -> None:
    """Replace the file atomically: the server watches it, and must not see half of it."""
    new = server.home.config_file.with_suffix(".new")
    new.write_text(text)
    new.replace(server.home.config_file)


BAD_FILES: dict[str, tuple[Callable[[RunningServer], object], str]] = {
    "no TOML": (lambda server: write_config(server, "x ="), "not valid TOML"),
    "a wrong type": (lambda server: write_config(server, "roles = 7"), "wrong value of roles in telnetsd.toml line"),
    "a class of two": (
        lambda server: write_config(server, '[classes.0]\noid="1.2"\nname="a"\nchecked="b"\n'),
        "class 0 is for pins",
    ),
    "an entry on the built-in CA": (
        lambda server: write_config(server, MAPPED.replace(fingerprint(COMPANY), built_in_fingerprint(server))),
        "its fingerprint is that of the built-in CA",
    ),
    "junk for a trust anchor": (
        lambda server: (server.home.trust_folder / "x.pem").write_text("hello"),
        "not a PEM certificate: certs/trust/x.pem",
    ),
    "a key of an unknown kind": (
        unknown_key,
        "its key cannot be read (Curve 1.2.840.10045.3.1.127 is not supported); remove it",
    ),
    "a server key that is too weak": (weak_pair, "certs/server.pem cannot be used for TLS (ee key too small)"),
    "no server certificate": (lambda server: server.home.server_certificate.unlink(), "no server certificate at"),
    "a server key that is open": (lambda server: server.home.server_key.chmod(0o644), "private key open to others"),
}


def built_in_fingerprint(server: RunningServer) -> str:
    return done(server.home, "ca", "show").split()[-1]


@pytest.mark.parametrize(("damage", "said"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_reload_with_an_error_changes_nothing_and_says_why(
    damage: Callable[[RunningServer], object], said: str, start: Callable[..., RunningServer]
) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        damage(server)
        assert said in refused(server.home, "reload")
        failed = server.wait_for(lambda one: action_of(one) == "reload-failed")
        assert (failed["event"]["reason"], failed["event"]["outcome"]) == ("wrong-configuration", "failure")
        assert said in failed["message"]
        assert client.command("date")
    with connect_as(server, "bob") as client:
        client.read_until(b"bob> ")
    words = server.stop()
    assert [line for line in words.splitlines() if not line.startswith("WARNING: nothing was reloaded: ")] == []


def test_a_reload_reports_which_changes_wait_for_a_restart(start: Callable[..., RunningServer]) -> None:
    server = start()
    said = "a change of [listener] and [[line]] takes effect at the next restart"
    line = f'[[line]]\nname = "a"\ntarget = "tcp://127.0.0.1:1"\nlisten = "127.0.0.1:{free_port()}"\n'
    server.home.config_file.write_text(f"[listener]\nkeepalive_s = 9\nmax_connections = 9\n{line}")
    assert server.wait_for(lambda one: action_of(one) == "server-reloaded")["message"].endswith(said)
    assert done(server.home, "reload").strip().endswith(said)
    server.home.config_file.write_text("[listener]\nmax_connections = 9\n")
    assert "waits" not in done(server.home, "reload")
    assert server.stop().count(said) == 1


def test_an_unreadable_crl_is_logged_and_affects_no_session(company: RunningServer, tmp_path: Path) -> None:
    with dora(company, tmp_path) as client:
        client.read_until(b"dora> ")
        (company.home.crl_folder / "junk.crl").write_bytes(os.urandom(500))
        event = company.wait_for(lambda one: action_of(one) == "crl-rejected")
        assert event["event"]["reason"] == "crl-unreadable"
        assert client.command("date")


def test_a_removed_user_is_disconnected_although_the_crl_is_late(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    """A late CRL refuses new logins, but keeps no session open that has lost its access for another reason."""
    root = OpensslCa(tmp_path / "root", "/CN=Example Root")
    server = start()
    home = server.home
    certificate, key = root.issue("dora", "/CN=dora")
    done(home, "trust", "add", root.certificate)
    done(home, "user", "add", "dora", "--mapped")
    sha256 = next(line for line in done(home, "trust", "list").splitlines() if "Example" in line).split()[-1]
    entry = MAPPED.replace(fingerprint(COMPANY), sha256).replace('crl_policy = "prefer"', "")
    home.config_file.write_text(entry)
    root.write_crl(home.crl_folder / "root.pem", "-crlsec", "6")
    done(home, "reload")
    with OpensslClient(server, certificate, key) as client:
        client.read_until("dora> ")

        def is_refused() -> bool:
            with OpensslClient(server, certificate, key) as other:
                return "no current CRL says whether" in other.read_until("\r\n")

        wait_until(is_refused, "the CRL's end")
        done(home, "user", "change", "dora", "--role", "operator")
        wait_until(lambda: "since" in client.command("sessions", "dora> "), "the roles of now")
        done(home, "user", "remove", "dora")
        assert "no user is mapped to your certificate any longer" in client.read_to_end()


def test_a_removed_user_is_not_admitted_again_by_the_roles_of_an_entry(
    company: RunningServer, tmp_path: Path
) -> None:
    with dora(company, tmp_path) as client:
        assert "you are dora (operator; class 0)" in client.read_until()
        company.home.config_file.write_text(MAPPED + 'roles = ["operator"]\n')
        done(company.home, "reload")
        done(company.home, "user", "remove", "dora")
        assert "no user is mapped to your certificate any longer" in client.read_to_end()
    with dora(company, tmp_path) as client:
        assert "no user is mapped to it" in client.read_until()


def test_removing_an_entry_disconnects_its_users(company: RunningServer, tmp_path: Path) -> None:
    with dora(company, tmp_path) as client:
        client.read_until(b"dora> ")
        company.home.config_file.write_text("")
        assert "this session ends" in client.read_to_end()
        assert company.session_from(client.port, "session-ended")["event"]["reason"] in {
            "no-user-mapped",
            "revocation-status-unknown",
        }


def test_a_revocation_during_a_state_outage_takes_effect_when_the_state_is_back(
    start: Callable[..., RunningServer],
) -> None:
    """A table of the state is missing while bob is revoked: once it is back, he is out, without another change."""
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        with closing(sqlite3.connect(server.home.state_file)) as database, database:
            database.execute(
                "UPDATE certificates SET revoked_at = '2026-01-01T00:00:00+00:00' WHERE user_name = 'bob'"
            )
            database.execute("ALTER TABLE certificates RENAME TO elsewhere")
        wait_until(lambda: is_troubled(server), "the trouble")
        with closing(sqlite3.connect(server.home.state_file)) as database, database:
            database.execute("ALTER TABLE elsewhere RENAME TO certificates")
        assert "was revoked on 2026-01-01" in client.read_to_end()
    # A state without its table is not a peer's mistake: the operator sees where it was missed.
    assert "no such table: certificates" in server.stop()


def is_troubled(server: RunningServer) -> bool:
    with connect_as(server, "bob") as other:
        return "internal server error" in other.read_until(b"\r\n")


def test_a_user_revoked_after_identification_and_before_the_greeting_does_not_stay(
    start: Callable[..., RunningServer],
) -> None:
    """The event of a login waits for the log while all open sessions are checked again: the new one is as well."""
    server = start()
    with connect_as(server, "bob") as first:
        first.read_until()
        # The server's own first change is done. Otherwise it would hold the state while it waits for the log.
        server.wait_for(lambda one: action_of(one) == "crl-issued")
        wait_until(lambda: not list(server.home.staging_folder.iterdir()), "the end of that change")
        with server.home.audit_file.open("r+") as log:
            fcntl.flock(log, fcntl.LOCK_EX)
            second = connect_as(server, "bob")
            # A later client that gets an answer shows that the server has read the input of the second one.
            with socket.create_connection(("127.0.0.1", server.port)) as plain:
                plain.sendall(b"hello\r\n")
                plain.recv(100)
            with closing(sqlite3.connect(server.home.state_file)) as database, database:
                at = now().isoformat(timespec="seconds")
                database.execute("UPDATE certificates SET revoked_at = ? WHERE user_name = 'bob'", (at,))
            assert "was revoked on" in first.read_to_end()
        assert "was revoked on" in second.read_to_end()
        second.tls.close()


def test_a_revoked_certificate_is_not_resumed(start: Callable[..., RunningServer]) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        client.command("date")
        session, context = client.tls.session, client.context
        done(server.home, "user", "revoke", "bob")
        client.read_to_end()
    with connect_as(server, session=session, context=context) as again:
        assert "was revoked on" in again.read_to_end()
        event = server.session_from(again.port, "session-refused")
        assert get(event, "telnetsd.certificate.status") == "rejected"


def test_reload_without_a_server_is_an_error(start: Callable[..., RunningServer]) -> None:
    server = start()
    server.stop()
    assert telnetsd(server.home, "reload").stderr.startswith("error: no server answers at ")
