"""Revoking a certificate or a pin, and removing a role or a user: it affects open sessions within a second."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from support.certificates import Recipe, ca_extensions, make_ca, name
from support.client import Client, connect_as
from support.command_line import done, refused, telnetsd
from support.homes import add, write_pem
from support.server import RunningServer, action_of, get, wait_until
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured


def own_crl(home: Home) -> x509.CertificateRevocationList:
    (path,) = home.crl_folder.glob("telnetsd-*.pem")
    return x509.load_pem_x509_crl(path.read_bytes())


def wait_for_end(server: RunningServer, client: Client, reason: str) -> str:
    """Return what a client reads to the end of its session."""
    said = client.read_to_end()
    assert server.session_from(client.port, "session-ended")["event"]["reason"] == reason
    return said


def test_a_certificate_on_hold_ends_its_session_and_is_accepted_again_when_it_is_restored(
    start: Callable[..., RunningServer],
) -> None:
    server = start()
    home = server.home
    with connect_as(server, "bob") as client, connect_as(server, "alice") as other:
        client.read_until()
        other.read_until()
        assert "is on hold\n" in done(home, "user", "revoke", "bob", "--reason", "certificateHold")
        assert "*** your certificate (CN=bob) is on hold since " in wait_for_end(
            server, client, "certificate-on-hold"
        )
        assert "bob" not in other.command("who")
    with connect_as(server, "bob") as client:
        assert client.read_to_end().startswith("refused: your certificate (CN=bob) is on hold since ")
        event = server.session_from(client.port, "session-refused")
        assert event["event"]["reason"] == "certificate-on-hold"
        assert get(event, "telnetsd.certificate.revocation_reason") == "certificateHold"
    assert len(own_crl(home)) == 1
    assert "is valid again\n" in done(home, "user", "restore", "bob")
    assert len(own_crl(home)) == 0
    with connect_as(server, "bob") as client:
        client.read_until(b"bob> ")
    assert refused(home, "user", "restore", "bob").startswith("error: nothing of bob is on hold")
    assert [action_of(one) for one in server.events() if action_of(one) == "certificate-restored"]


@pytest.mark.parametrize(
    "reason",
    ["unspecified", "keyCompromise", "cACompromise", "affiliationChanged", "superseded", "privilegeWithdrawn"],
)
def test_each_revocation_reason_is_on_the_crl_is_shown_and_cannot_be_undone(reason: str, home: Home) -> None:
    done(home, "user", "revoke", "bob", "--reason", reason)
    (entry,) = own_crl(home)
    said = [one.value.reason.value for one in entry.extensions]
    assert said == ([] if reason == "unspecified" else [reason])
    shown = done(home, "user", "show", "bob")
    assert re.search(rf"serial       [0-9A-F]+  revoked [0-9-]+ [0-9:]+ UTC \({reason}\)", shown)
    assert "nothing of bob is on hold" in refused(home, "user", "restore", "bob")
    assert "nothing to revoke: bob is already revoked" in refused(home, "user", "revoke", "bob")


def test_one_certificate_is_revoked_by_its_serial_number_and_the_other_stays_valid(
    start: Callable[..., RunningServer],
) -> None:
    server = start()
    home = server.home
    with connect_as(server, "bob") as before:
        before.read_until()
        done(home, "user", "renew", "bob", "--new-key")
        newest, oldest = json.loads(done(home, "user", "show", "bob", "--json"))["certificates"]
        if newest["public_key"] and newest["serial_number"] == serial_of(home, "bob"):
            newest, oldest = oldest, newest
        with connect_as(server, "bob") as after:
            after.read_until(b"bob> ")
            serial = newest["serial_number"]
            done(home, "user", "revoke", "--serial", ":".join(serial[at : at + 2] for at in range(0, len(serial), 2)))
            assert "was revoked on" in wait_for_end(server, before, "certificate-revoked")
            assert after.command("date")
    assert refused(home, "user", "revoke", "--serial", "beef").startswith(
        "error: no certificate has serial number 'beef'"
    )


def serial_of(home: Home, user: str) -> str:
    leaf = x509.load_pem_x509_certificates((home.users_folder / f"{user}.pem").read_bytes())[0]
    return f"{leaf.serial_number:X}"


def test_a_removed_user_is_disconnected_and_their_certificates_are_revoked(
    start: Callable[..., RunningServer],
) -> None:
    server = start()
    home = server.home
    credentials = [(home.users_folder / f"bob.{kind}").read_bytes() for kind in ("pem", "key")]
    with connect_as(server, "bob") as client:
        client.read_until()
        assert done(home, "user", "remove", "bob") == "removed bob\n"
        assert "(cessationOfOperation): this session ends" in wait_for_end(server, client, "certificate-revoked")
    assert not list(home.users_folder.glob("bob.*"))
    add(home, "bob", "operator")
    for kind, content in zip(("pem", "key"), credentials, strict=True):
        (home.users_folder / f"bob.{kind}").write_bytes(content)
    with connect_as(server, "bob") as client:
        assert "was revoked on " in client.read_to_end()
    assert get(server.wait_for(lambda one: action_of(one) == "user-removed"), "user.target.name") == "bob"


def test_a_pin_admits_any_certificate_with_its_key_until_it_is_revoked(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    server = start()
    home = server.home
    own = make_ca("any user", extensions=ca_extensions()[:1])
    done(home, "user", "add", "pia", "--pin", write_pem(tmp_path / "pia.pem", own))
    again = Recipe(subject=name("another name"), key=own.key).self_signed()
    with Client(server.port, home.ca_certificate, again.save(tmp_path, "again")) as client:
        assert "you are pia (user; class 0)" in client.read_until(b"pia> ")
        done(home, "user", "revoke", "pia")
        assert "*** your certificate (CN=another name) was revoked on" in wait_for_end(
            server, client, "certificate-revoked"
        )
    with Client(server.port, home.ca_certificate, own.save(tmp_path, "own")) as client:
        assert f"was revoked on {datetime.now(UTC):%Y-%m-%d} at" in client.read_to_end()
        assert server.session_from(client.port, "session-refused")["event"]["reason"] == "certificate-revoked"
    assert [action_of(one) for one in server.events() if action_of(one).startswith("pin")] == [
        "pin-added",
        "pin-revoked",
    ]


def test_a_pin_can_be_added_by_its_fingerprint_and_an_invalid_pin_is_refused(home: Home, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from telnetsd.pki.certificate import spki_sha256

    own = make_ca("pia", extensions=ca_extensions()[:1])
    spki = spki_sha256(own.certificate)
    done(home, "user", "add", "pia", "--pin", f"SHA256:{spki.upper()}")
    assert f"pin          SHA256:{spki}" in done(home, "user", "show", "pia")
    pem = write_pem(tmp_path / "pin.pem", own)
    assert "that key already belongs to pia" in refused(home, "user", "add", "pit", "--pin", pem)
    assert "No such file" in refused(home, "user", "add", "pit", "--pin", "-----BEGIN CERTIFICATE-----\nMIIB\n")
    issued = home.users_folder / "bob.pem"
    assert "is not self-signed, and only self-signed" in refused(home, "user", "add", "pit", "--pin", issued)
    weak = write_pem(tmp_path / "weak.pem", make_ca("w", key=rsa.generate_private_key(65537, 1024), extensions=[]))
    assert "could not log in (weak-key)" in refused(home, "user", "add", "pit", "--pin", weak)
    assert "not a fingerprint: write SHA256: and 64" in refused(home, "user", "add", "pit", "--pin", "SHA256:beef")
    assert "cannot read nowhere.pem" in refused(home, "user", "add", "pit", "--pin", "nowhere.pem")
    assert refused(home, "user", "show", "pit")


def test_changed_roles_take_effect_in_an_open_session(start: Callable[..., RunningServer]) -> None:
    server = start()
    with connect_as(server, "bob") as client:
        client.read_until()
        assert "`kick` requires the role operator" in client.command("kick 12345678")
        done(server.home, "user", "change", "bob", "--role", "operator")
        wait_until(lambda: "no session" in client.command("kick 12345678"), "the role")
        assert "unknown role 'boss'" in refused(server.home, "user", "change", "bob", "--role", "boss")
    assert get(server.wait_for(lambda one: action_of(one) == "user-changed"), "user.target.roles") == ["operator"]


def test_a_revocation_takes_effect_although_the_key_of_the_ca_is_elsewhere(
    start: Callable[..., RunningServer],
) -> None:
    server = start()
    home = server.home
    home.ca_key.unlink()
    with connect_as(server, "bob") as client:
        client.read_until()
        revoked = telnetsd(home, "user", "revoke", "bob")
        assert revoked.returncode == 0
        assert revoked.stderr.startswith(
            "warning: it is effective here, but the CRL was not signed again: no private key at "
        )
        wait_for_end(server, client, "certificate-revoked")
