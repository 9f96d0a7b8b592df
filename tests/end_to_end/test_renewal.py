"""Renewal: by the operator, or by the user over a session that the current certificate authenticates."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from support.client import Client, connect_as
from support.command_line import done, refused
from support.homes import add
from support.requests import field, make_csr, paste, pem
from support.server import RunningServer, action_of, get
from telnetsd.files.home import Home

AUTO = '[renewal]\npolicy = "auto"\n'


def leaf_of(home: Home, user: str) -> x509.Certificate:
    return x509.load_pem_x509_certificates((home.users_folder / f"{user}.pem").read_bytes())[0]


def key_of(home: Home, user: str) -> object:
    return load_pem_private_key((home.users_folder / f"{user}.key").read_bytes(), None)


def test_the_operator_renews_with_the_same_key_with_a_new_one_or_with_a_request(home: Home, tmp_path: Path) -> None:
    first = leaf_of(home, "bob")
    assert done(home, "user", "renew", "bob", "--days", "30").startswith("renewed bob, certificate valid until ")
    second = leaf_of(home, "bob")
    assert second.public_key() == first.public_key()
    assert second.serial_number != first.serial_number
    done(home, "user", "renew", "bob", "--new-key")
    third = leaf_of(home, "bob")
    assert third.public_key() != first.public_key()
    assert key_of(home, "bob").public_key() == third.public_key()  # type: ignore[attr-defined]
    csr = make_csr("bob")
    (tmp_path / "bob.csr").write_text(pem(csr))
    done(home, "user", "renew", "bob", "--csr", tmp_path / "bob.csr")
    assert leaf_of(home, "bob").public_key() == csr.public_key()
    assert not (home.users_folder / "bob.key").exists(), "it would not fit the new certificate"
    done(home, "user", "renew", "bob", "--days", "3")
    assert leaf_of(home, "bob").public_key() == csr.public_key()
    assert refused(home, "user", "renew", "nobody") == "error: no user 'nobody'; see: telnetsd user list"


def test_users_whose_certificates_expire_are_listed(home: Home) -> None:
    add(home, "brief", days=5)
    assert [line.split()[0] for line in done(home, "user", "list", "--expiring", "30d").splitlines()] == [
        "user",
        "brief",
    ]
    done(home, "user", "renew", "brief")
    assert len(done(home, "user", "list", "--expiring", "30d").splitlines()) == 1


def test_a_renewal_that_waits_for_the_operator_is_collected_with_the_old_certificate(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    server = start()
    home = server.home
    add(home, "brief", days=5)
    csr = make_csr("brief")
    with connect_as(server, "brief") as client:
        assert "warning: your certificate expires on " in client.read_until()
        receipt = paste(client, "renew", pem(csr))
        request_id = field(receipt, "request")
        assert "approve it without --user" in refused(home, "request", "approve", request_id, "--user", "alice")
        assert "has not decided" in client.command("collect")
        assert "granted to brief (user)" in done(home, "request", "approve", request_id)
        chain = x509.load_pem_x509_certificates(client.command("collect").encode())
        assert chain[0].public_key() == csr.public_key()
        assert "has already been renewed" in paste(client, "renew", pem(make_csr()))
    event = server.wait_for(lambda one: action_of(one) == "certificate-renewed")
    assert get(event, "user.target.name") == "brief"
    (requested,) = (one for one in server.events() if action_of(one) == "enrolment-requested")
    assert get(requested, "user.name") == "brief"


def test_a_refused_renewal_is_explained_to_the_user_and_logged(start: Callable[..., RunningServer]) -> None:
    server = start(AUTO)
    home = server.home
    add(home, "brief", days=5)
    with connect_as(server, "bob") as client:
        client.read_until()
        said = paste(client, "renew", pem(make_csr("bob")))
        assert "is valid for another 364 days: it can be renewed in its last 30 days; the operator" in said
    with connect_as(server, "brief") as client:
        client.read_until()
        assert "has your current key; generate a new key" in paste(
            client, "renew", pem(make_csr("brief", key_of(home, "brief")))
        )
        assert "that key is not accepted" in paste(client, "renew", pem(make_csr("brief", key_of(home, "bob"))))
        assert "names another user than brief" in paste(client, "renew", pem(make_csr("bob")))
    reasons = [one["event"]["reason"] for one in server.events() if action_of(one) == "command-failed"]
    assert reasons == ["too-early", "same-key", "key-refused", "csr-for-another"]
    assert not [one for one in server.events() if action_of(one) == "certificate-renewed"]


def test_a_certificate_of_another_ca_is_not_renewed_here(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    from support.certificates import ca_extensions, make_ca
    from support.homes import write_pem

    server = start(AUTO)
    own = make_ca("pia", extensions=ca_extensions()[:1])
    done(server.home, "user", "add", "pia", "--pin", write_pem(tmp_path / "pia.pem", own))
    with Client(server.port, server.home.ca_certificate, own.save(tmp_path, "own")) as client:
        client.read_until()
        assert "this server did not issue your certificate" in paste(client, "renew", pem(make_csr("pia")))
        assert server.wait_for(lambda one: one["event"]["reason"] == "not-renewable")


@pytest.mark.parametrize(("policy", "said"), [("off", "renewal is turned off"), ("auto", "read these to")])
def test_the_policy_decides_on_renewals_and_without_the_cas_key_the_operator_decides(
    policy: str, said: str, start: Callable[..., RunningServer]
) -> None:
    server = start(f'[renewal]\npolicy = "{policy}"\n')
    add(server.home, "brief", days=5)
    server.home.ca_key.unlink()
    with connect_as(server, "brief") as client:
        client.read_until()
        assert said in paste(client, "renew", pem(make_csr("brief")))


def test_an_open_session_is_warned_when_the_last_days_of_its_certificate_begin(
    start: Callable[..., RunningServer],
) -> None:
    """A reload opens the renewal window during an open session, since a test cannot wait 30 days."""
    server = start("[renewal]\nwindow_days = 30\n")
    with connect_as(server, "bob") as client:
        assert "warning" not in client.read_until()
        server.home.config_file.write_text("[renewal]\nwindow_days = 400\n")
        assert "*** warning: your certificate expires on " in client.read_until(b"or ask the operator")


def test_a_user_renews_for_no_longer_than_the_operator_granted_and_only_once(
    start: Callable[..., RunningServer],
) -> None:
    server = start(AUTO)
    home = server.home
    add(home, "brief", days=7)
    with connect_as(server, "brief") as client:
        client.read_until()
        done(home, "user", "renew", "brief", "--days", "7")
        assert "has already been renewed" in paste(client, "renew", pem(make_csr()))
    with connect_as(server, "brief") as client:
        client.read_until()
        client.send(b"renew\r\n")
        client.read_until(b"a single dot cancels\r\n")
        client.send(pem(make_csr()).encode())
        client.read_until(b"the current one stays valid until it expires\r\n")
        (leaf,) = x509.load_pem_x509_certificates(client.read_until().encode())
        assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days == 7


def test_an_approval_does_not_renew_a_certificate_that_was_renewed_meanwhile(
    start: Callable[..., RunningServer],
) -> None:
    server = start()
    home = server.home
    add(home, "brief", days=5)
    with connect_as(server, "brief") as client:
        client.read_until()
        request_id = field(paste(client, "renew", pem(make_csr())), "request")
        done(home, "user", "renew", "brief")
        assert "already has a successor; deny the request" in refused(home, "request", "approve", request_id)
