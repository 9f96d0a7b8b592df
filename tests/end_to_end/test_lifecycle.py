"""The life of a user's certificates, with the real `openssl` to make keys and as the TLS client."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from support.command_line import done
from support.openssl import OpensslClient, make_csr, make_key, openssl, self_sign
from support.server import Event, RunningServer, action_of, get
from telnetsd.administration.users.credentials import user_files

END = "-----END CERTIFICATE-----"


def collected(client: OpensslClient, path: Path) -> Path:
    """Read a chain in PEM, and save it to a file."""
    text = client.read_until("> ").replace("\r", "")
    start = text.index("-----BEGIN CERTIFICATE-----")
    path.write_text(text[start : text.rindex(END) + len(END)] + "\n")
    return path


def actions(server: RunningServer) -> list[str]:
    return [action_of(event) for event in server.events()]


def is_end(event: Event) -> bool:
    return action_of(event) == "session-ended"


def test_a_user_can_renew_be_revoked_and_enrol_again(start: Callable[..., RunningServer], tmp_path: Path) -> None:
    server = start('[renewal]\npolicy = "auto"\n')
    home = server.home

    # Add, and log in.
    first_key = make_key(tmp_path / "first.key")
    (tmp_path / "first.csr").write_text(make_csr(first_key, "/CN=carol"))
    done(home, "user", "add", "carol", "--csr", tmp_path / "first.csr", "--days", "20")
    first = user_files(home, "carol").certificate
    with OpensslClient(server, first, first_key) as client:
        greeting = client.read_until("carol> ")
        assert "you are carol (user; class 1); your certificate ends in 19 days" in greeting
        assert "warning: your certificate expires on " in greeting

        # Renew in-band with a new key.
        second_key = make_key(tmp_path / "second.key")
        client.send("renew\r\n")
        client.read_until("a single dot cancels\r\n")
        client.send(make_csr(second_key, "/CN=carol"))
        client.read_until("your new certificate, with its chain")
        second = collected(client, tmp_path / "second.pem")
        assert "has already been renewed" in renewing_again(client, make_key(tmp_path / "third.key"))

    # Log in with the new one; the old one is still valid.
    for certificate, key in ((first, first_key), (second, second_key)):
        with OpensslClient(server, certificate, key) as client:
            client.read_until("carol> ")

    # Revoke while logged in: the session ends.
    with OpensslClient(server, second, second_key) as client:
        client.read_until("carol> ")
        done(home, "user", "revoke", "carol", "--reason", "keyCompromise")
        at = datetime.now(UTC)
        said = client.read_to_end()
        assert re.search(r"\*\*\* your certificate \(CN=carol\) was revoked on [0-9-]+ at [0-9:]+ UTC", said)
        ended = server.wait_for(lambda event: event["event"]["reason"] == "certificate-revoked" and is_end(event))
        assert get(ended, "user.name") == "carol"
        assert datetime.fromisoformat(ended["@timestamp"]) >= revoked_at(server)

    # A login is refused, with the date of the revocation.
    for certificate, key in ((first, first_key), (second, second_key)):
        with OpensslClient(server, certificate, key) as client:
            said = client.read_to_end()
            assert f"refused: your certificate (CN=carol) was revoked on {at:%Y-%m-%d} at " in said
            assert "(keyCompromise)" in said
    refusal = [one for one in server.events() if action_of(one) == "session-refused"][-1]
    assert refusal["event"]["reason"] == "certificate-revoked"
    assert get(refusal, "telnetsd.certificate.revocation_reason") == "keyCompromise"
    assert "user" not in refusal

    # Enrol again with a self-signed certificate, be approved, collect, log in.
    new_key = make_key(tmp_path / "new.key")
    own = self_sign(new_key, "/CN=carol", tmp_path / "own.pem")
    with OpensslClient(server, own, new_key) as client:
        assert "to request acceptance: enroll NAME" in client.read_until("guest> ")
        receipt = client.command("enroll carol", "guest> ")
        request_id = re.search(r"^request +(\S+)$", receipt, re.MULTILINE)
        fingerprint = re.search(r"^key +(SHA256:[0-9a-f]{64})$", receipt, re.MULTILINE)
        assert request_id is not None
        assert fingerprint is not None
        assert "has not decided" in client.command("collect", "guest> ")
        shown = done(home, "request", "show", request_id[1])
        assert fingerprint[1] in shown
        assert "A USER OF THAT NAME EXISTS" in shown
        done(home, "request", "approve", request_id[1], "--user", "carol")
        client.send("collect\r\n")
        granted = collected(client, tmp_path / "granted.pem")
    assert openssl("verify", "-purpose", "sslclient", "-CAfile", home.ca_certificate, granted).endswith(": OK\n")
    with OpensslClient(server, granted, new_key) as client:
        assert "you are carol (user; class 1)" in client.read_until("carol> ")
    steps = [one for one in actions(server) if not one.startswith(("session", "command", "server"))]
    assert [one for one in steps if one != "crl-issued"][-9:] == [
        "user-added",
        "certificate-issued",
        "certificate-renewed",
        "certificate-revoked",
        "certificate-revoked",
        "enrolment-requested",
        "certificate-issued",
        "enrolment-approved",
        "enrolment-collected",
    ]


def renewing_again(client: OpensslClient, key: Path) -> str:
    client.send("renew\r\n")
    client.read_until("a single dot cancels\r\n")
    client.send(make_csr(key, "/CN=carol"))
    return client.read_until("> ")


def revoked_at(server: RunningServer) -> datetime:
    event = next(one for one in server.events() if action_of(one) == "certificate-revoked")
    return datetime.fromisoformat(event["@timestamp"])
