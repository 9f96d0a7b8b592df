"""A new CA beside the old one, intermediates, and encrypted keys, with the real openssl at the other end."""

import json
import os
import pty
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from support.client import connect_as
from support.command_line import done, refused, telnetsd
from support.homes import add
from support.machine import DEADLINE_S
from support.openssl import OpensslClient, openssl
from support.processes import open_files
from support.server import RunningServer, action_of, wait_until
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home


def log_in(server: RunningServer, user: str) -> str:
    files = user_files(server.home, user)
    with OpensslClient(server, files.certificate, files.key) as client:
        return client.read_until("> ")


def authorities(home: Home) -> list[tuple[str, str]]:
    return [(one["role"], one["sha256"]) for one in json.loads(done(home, "ca", "show", "--json"))]


def test_old_and_new_root_overlap_until_the_old_one_is_retired(start: Callable[..., RunningServer]) -> None:
    server = start()
    home = server.home
    old = home.ca_certificate.read_bytes()
    assert "issues from now on" in done(home, "ca", "rotate")
    add(home, "newbie")
    done(home, "reload")
    assert log_in(server, "newbie").startswith("you are newbie (user; class 1)")
    assert log_in(server, "bob").startswith("you are bob (user; class 1)")
    (issues, _), (previous, fingerprint) = authorities(home)
    assert (issues, previous) == ("root, issues", "previous root")
    assert len(list(home.crl_folder.glob("telnetsd-*.pem"))) == 2

    # A client that knows only the old root still verifies the server until the new root issues its certificate.
    old_root = home.root / "old.pem"
    old_root.write_bytes(old)
    openssl("verify", "-CAfile", old_root, home.server_certificate)
    assert "first run: telnetsd ca renew-server" in refused(home, "ca", "retire", fingerprint[:16])
    done(home, "ca", "renew-server")
    done(home, "reload")
    assert log_in(server, "bob").startswith("you are bob")

    with connect_as(server, "bob") as client:
        client.read_until()
        assert done(home, "ca", "retire", fingerprint[:16]) == "retired; 3 certificates ended with it\n"
        assert "was revoked on" in client.read_to_end()
    done(home, "reload")
    assert "which this server does not trust" in log_in_refused(server, "bob")
    assert log_in(server, "newbie").startswith("you are newbie")
    assert [role for role, _ in authorities(home)] == ["root, issues"]
    done(home, "user", "renew", "bob", "--new-key")
    assert log_in(server, "bob").startswith("you are bob")
    actions = [action_of(one) for one in server.events()]
    assert actions.count("ca-rotated") == actions.count("ca-retired") == 1


def log_in_refused(server: RunningServer, user: str) -> str:
    files = user_files(server.home, user)
    with OpensslClient(server, files.certificate, files.key) as client:
        return client.read_to_end()


@pytest.fixture
def two_tiers(tmp_path: Path) -> Home:
    """A home folder with an intermediate and encrypted keys."""
    (tmp_path / "passphrase").write_text("correct horse\n")
    home = Home(tmp_path / "tiers")
    said = done(home, "init", "--intermediate", "--passphrase-file", tmp_path / "passphrase")
    assert "move it to offline storage" in said
    return home


def test_an_intermediate_issues_while_the_roots_key_is_elsewhere(two_tiers: Home, tmp_path: Path) -> None:
    secret = ("--passphrase-file", tmp_path / "passphrase")
    root_key = two_tiers.ca_key.read_bytes()
    assert b"ENCRYPTED" in root_key
    two_tiers.ca_key.unlink()
    done(two_tiers, "user", "add", "nina", *secret)
    done(two_tiers, "user", "add", "nils", TELNETSD_CA_PASSPHRASE="correct horse")
    said = refused(two_tiers, "user", "add", "nora")
    assert said.startswith("error: the CA's key is encrypted; give --passphrase-file FILE, or set $TELNETSD_CA_PASS")
    said = refused(two_tiers, "user", "add", "nora", TELNETSD_CA_PASSPHRASE="wrong")
    assert said == "error: cannot open certs/issuing.key: wrong passphrase; try again with the correct one"
    server = RunningServer(two_tiers, TELNETSD_CA_PASSPHRASE="correct horse")
    try:
        assert log_in(server, "nina").startswith("you are nina (user; class 1)")
        chain = openssl(
            "verify",
            "-show_chain",
            "-CAfile",
            two_tiers.ca_certificate,
            "-untrusted",
            two_tiers.issuing_certificate,
            user_files(two_tiers, "nina").certificate,
        )
        assert "CN = telnetsd issuing CA" in chain
        done(two_tiers, "user", "revoke", "nils", *secret)
        assert "was revoked on" in log_in_refused(server, "nils")

        # Rotation needs the root's key for a moment.
        assert "no private key at certs/ca.key" in refused(two_tiers, "ca", "rotate", *secret)
        two_tiers.ca_key.touch(0o600)
        two_tiers.ca_key.write_bytes(root_key)
        done(two_tiers, "ca", "rotate", *secret)
        done(two_tiers, "user", "add", "nick", *secret)
        for user in ("nina", "nick"):
            assert log_in(server, user).startswith(f"you are {user}")
        assert b"ENCRYPTED" in two_tiers.issuing_key.read_bytes()
        assert [role for role, _ in authorities(two_tiers)] == [
            "intermediate, issues",
            "root",
            "previous intermediate",
        ]
    finally:
        assert server.stop() == ""


def forget_crls(home: Home) -> None:
    for file in home.crl_folder.iterdir():
        file.unlink()


def test_a_server_without_the_passphrase_serves_and_warns_that_it_cannot_sign(two_tiers: Home) -> None:
    forget_crls(two_tiers)
    server = RunningServer(two_tiers)
    with connect_as(server) as client:
        client.read_until()
    assert server.process.stderr is not None
    said = server.process.stderr.readline()
    assert server.stop() == ""
    assert said.startswith("WARNING: our CRL was not signed again: the CA's key is encrypted; ")
    assert said.count("\n") == 1


def test_the_cas_keys_can_be_encrypted_and_decrypted(two_tiers: Home, tmp_path: Path) -> None:
    secret = ("--passphrase-file", tmp_path / "passphrase")
    assert (
        done(two_tiers, "ca", "passphrase", "--none", *secret) == "not encrypted: certs/ca.key, certs/issuing.key\n"
    )
    done(two_tiers, "user", "add", "nina")
    assert stat.S_IMODE(two_tiers.issuing_key.stat().st_mode) == 0o600
    assert "no terminal to ask for a passphrase" in refused(two_tiers, "ca", "passphrase")


def at_a_terminal(home: Home, *words: str, typed: list[str]) -> str:
    """Run a verb on a pseudo-terminal, and answer its questions."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "telnetsd", *words, "--home", str(home.root)]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    screen = b""
    for answer in typed:
        while b": " not in screen.rpartition(b"\n")[2]:
            screen += os.read(master, 4096)
        os.write(master, answer.encode() + b"\n")
        screen += b"\n"
    process.wait(timeout=DEADLINE_S)
    try:
        while data := os.read(master, 4096):
            screen += data
    except OSError:
        pass
    os.close(master)
    return screen.decode()


def test_a_passphrase_is_asked_for_at_a_terminal_and_not_shown(tmp_path: Path) -> None:
    home = Home(tmp_path / "asked")
    said = at_a_terminal(home, "init", "--encrypt-key", typed=["top secret", "top secret"])
    assert "new passphrase for the CA's key: " in said
    assert "top secret" not in said
    said = at_a_terminal(home, "user", "add", "nina", typed=["top secret"])
    assert "current passphrase of the CA's key: " in said
    assert "added nina" in said
    said = at_a_terminal(home, "user", "add", "nils", "--password", typed=["p12 word", "other"])
    assert "error: the two do not match; try again" in said


def test_a_bundle_is_encrypted_with_the_password_from_a_file(home: Home, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    assert "both, as PKCS#12 encrypted with the password" in done(
        home, "user", "add", "nina", "--password-file", tmp_path / "password"
    )
    bundle = (home.users_folder / "nina.p12").read_bytes()
    assert pkcs12.load_pkcs12(bundle, b"hunter2").key is not None
    with pytest.raises(ValueError, match=r"(?i)password"):
        pkcs12.load_pkcs12(bundle, None)
    assert "is empty" in refused(home, "user", "add", "nils", "--password-file", os.devnull)


def test_the_servers_certificate_is_renewed_while_the_server_runs(start: Callable[..., RunningServer]) -> None:

    server = start()
    before = server.home.server_certificate.read_bytes()
    with connect_as(server, "bob") as client:
        client.read_until()
        done(server.home, "ca", "renew-server", "--name", "console.example")
        done(server.home, "reload")
        assert client.command("date"), "who was there stays"
    with connect_as(server, "bob", context=trusting_only(server)) as client:
        client.read_until()
        der = client.tls.getpeercert(binary_form=True)
        assert der is not None
        assert ssl.DER_cert_to_PEM_cert(der).encode() not in before
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName)
        assert names.value.get_values_for_type(x509.DNSName) == ["console.example"]
    assert "not a host name" in refused(server.home, "ca", "renew-server", "--name", "no host")


def trusting_only(server: RunningServer) -> ssl.SSLContext:
    from support.client import client_context

    files = user_files(server.home, "bob")
    context = client_context(server.home.ca_certificate, (files.certificate, files.key))
    context.check_hostname = False
    return context


def test_openssl_verifies_our_crl(home: Home) -> None:
    done(home, "user", "revoke", "bob", "--reason", "superseded")
    pem = home.root / "crl.pem"
    pem.write_text(done(home, "ca", "crl"))
    text = openssl("crl", "-in", pem, "-noout", "-text")
    assert "Superseded" in text
    assert "X509v3 CRL Number" in text
    checked = subprocess.run(
        [
            "openssl",
            "verify",
            "-crl_check",
            "-CAfile",
            home.ca_certificate,
            "-CRLfile",
            pem,
            home.users_folder / "bob.pem",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "certificate revoked" in checked.stderr
    der = telnetsd(home, "ca", "crl", "--format", "der").output
    assert x509.load_der_x509_crl(der).next_update_utc is not None
    assert telnetsd(home, "ca", "crl", "--format", "xml").returncode == 2


def test_a_retired_intermediate_is_refused_although_its_root_stays_even_if_a_client_sends_it(tmp_path: Path) -> None:
    from support.certificates import Recipe, name
    from support.client import Client
    from support.homes import built_in_ca

    home = Home(tmp_path / "tiers")
    done(home, "init", "--intermediate")
    for user in ("alice", "bob"):
        add(home, user)
    thief = built_in_ca(home)
    done(home, "user", "revoke", "bob", "--reason", "certificateHold")
    done(home, "ca", "rotate")
    done(home, "ca", "renew-server")
    done(home, "ca", "retire", authorities(home)[-1][1][:16])
    assert "nothing of bob is on hold" in refused(home, "user", "restore", "bob")
    server = RunningServer(home)
    try:
        assert "was revoked on" in log_in_refused(server, "alice")
        assert "was revoked on" in log_in_refused(server, "bob")
        forged = Recipe(subject=name("mallory")).signed_by(thief)
        forged.chain = [thief.certificate]
        with Client(server.port, home.ca_certificate, forged.save(tmp_path, "forged")) as client:
            assert "was revoked on" in client.read_to_end()
    finally:
        assert server.stop() == ""


def test_two_operators_who_change_the_ca_at_once_do_not_destroy_it(home: Home) -> None:
    import fcntl

    # All of them have loaded the CA, and wait for the same lock.
    verbs = (["ca", "rotate"], ["ca", "rotate"], ["ca", "passphrase", "--none"])
    home.change_lock.touch(0o600)
    with home.change_lock.open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "telnetsd", "--home", str(home.root)]
        running = [subprocess.Popen([*command, *verb], stdout=-1, stderr=-1, text=True) for verb in verbs]
        wait_until(lambda: all(is_waiting(one.pid, home) for one in running), "three operators at the lock")
    said = [one.communicate(timeout=DEADLINE_S)[1] for one in running]
    # The first one does what was requested; the other rotation finds a different CA than it began with.
    assert [running[0].returncode, running[1].returncode] in ([0, 1], [1, 0])
    failed = [words for one, words in zip(running, said, strict=True) if one.returncode]
    assert all("in the meantime; try again" in words for words in failed)
    done(home, "ca", "crl")
    done(home, "user", "add", "nina")


def is_waiting(process: int, home: Home) -> bool:
    """Tell whether a process has opened the lock's file."""
    return str(home.change_lock) in open_files(process)


def test_an_interrupted_init_leaves_no_intermediate_behind(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    done(home, "init", "--intermediate")
    home.ca_certificate.unlink()
    forget_crls(home)
    done(home, "init")
    assert not home.issuing_certificate.exists()
    done(home, "check")
    other = Home(tmp_path / "other")
    done(other, "init", "--intermediate")
    for path in (other.issuing_certificate, other.issuing_key):
        (home.certs_folder / path.name).write_bytes(path.read_bytes())
        (home.certs_folder / path.name).chmod(0o600)
    finished = telnetsd(home, "check")
    assert finished.returncode == 1
    assert "certs/issuing.pem was not issued by certs/ca.pem" in finished.stdout
