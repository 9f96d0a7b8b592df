"""Enrolment: a guest sends a request, the operator decides, the guest collects. Refusals are checked on both ends."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from socket import gethostname

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from support.certificates import Pair, Recipe, ca_extensions, ec_key, key_usage, make_ca, name, now
from support.client import Client, connect_as
from support.command_line import done, refused
from support.der import ECDSA_SHA1, ECDSA_SHA256, content_of, encode
from support.homes import add
from support.requests import field, make_csr, paste, pem
from support.server import Event, RunningServer, action_of, all_leaves, get
from telnetsd.files.home import Home

OPEN = "[enrolment]\nper_source = 100\n[limits]\nguest_lines_per_s = 10000\n"


@pytest.fixture(scope="module")
def shared_settings() -> str:
    return OPEN


@pytest.fixture
def asking(enter: Callable[..., Client]) -> Client:
    """A guest on the shared server; none of its requests is accepted."""
    return enter()


def refusal(server: RunningServer, client: Client) -> Event:
    """Return the event of the command that was refused to a client."""
    return server.session_from(client.port, "command-failed")


@pytest.fixture
def enrolling(start: Callable[..., RunningServer]) -> RunningServer:
    return start(OPEN)


@pytest.fixture
def guest(enrolling: RunningServer) -> Iterator[Client]:
    with connect_as(enrolling) as client:
        client.read_until()
        yield client


def connect_with(server: RunningServer, pair: Pair, folder: Path) -> Client:
    return Client(server.port, server.home.ca_certificate, pair.save(folder, "own"))


def test_a_pasted_request_is_approved_and_collected_once_with_its_code_from_any_session(
    enrolling: RunningServer, guest: Client
) -> None:
    home = enrolling.home
    receipt = paste(guest, "enroll nina", pem(make_csr("nina")))
    request_id, code = field(receipt, "request"), field(receipt, "code")
    assert field(receipt, "key") in done(home, "request", "show", request_id)
    assert re.search(
        rf"^{request_id} +nina +csr +pending +127\.0\.0\.1 ", done(home, "request", "list"), re.MULTILINE
    )
    assert "granted to nina (user), valid until " in done(home, "request", "approve", request_id)
    with connect_as(enrolling) as other:
        other.read_until()
        other.send(f"collect {request_id}\r\n".encode())
        other.read_until(b"code: ")
        assert "no request has that id and that code" in other.command("wrong")
        other.send(f"collect {request_id.upper()}\r\n".encode())
        other.read_until(b"code: ")
        granted = other.command(code.upper())
        assert "save the blocks above as one file, NAME.pem; its key is the one of your request" in granted
        assert "then log in with both: telnetsd login HOST NAME.pem NAME.key" in granted
        chain = x509.load_pem_x509_certificates(granted.encode())
        assert [one.subject.rfc4514_string() for one in chain] == ["CN=nina", f"CN=telnetsd CA {gethostname()}"]
        other.send(f"collect {request_id}\r\n".encode())
        other.read_until(b"code: ")
        assert "that code has already been used" in other.command(code)
    steps = [
        action_of(one) for one in enrolling.events() if action_of(one).startswith(("enrol", "user", "certificate"))
    ]
    assert steps[-5:] == [
        "enrolment-requested",
        "user-added",
        "certificate-issued",
        "enrolment-approved",
        "enrolment-collected",
    ]
    everything = [text for event in enrolling.events() for text in all_leaves(event)]
    assert not any(code.replace("-", "") in text.replace("-", "").lower() for text in everything), (
        "a secret is logged"
    )


def test_five_wrong_codes_use_up_a_code(enrolling: RunningServer, guest: Client) -> None:
    receipt = paste(guest, "enroll nina", pem(make_csr()))
    request_id, code = field(receipt, "request"), field(receipt, "code")
    done(enrolling.home, "request", "approve", request_id)
    for tried in (*["aaaa-bbbb"] * 5, code):
        guest.send(f"collect {request_id}\r\n".encode())
        guest.read_until(b"code: ")
        assert "no request has that id and that code" in guest.command(tried)
    reasons = [one["event"]["reason"] for one in enrolling.events() if action_of(one) == "command-failed"]
    assert reasons == ["wrong-code"] * 6


def test_a_self_signed_certificate_can_be_accepted_unchanged(enrolling: RunningServer, tmp_path: Path) -> None:
    own = make_ca("nina", extensions=ca_extensions()[:1])
    with connect_with(enrolling, own, tmp_path) as client:
        client.read_until()
        receipt = client.command("enroll nina")
        request_id = field(receipt, "request")
        said = done(enrolling.home, "request", "approve", request_id, "--pin", "--role", "operator")
        assert said == "accepted: nina (operator) connects with the same self-signed certificate\n"
        assert "*** you were accepted as nina: connect again to log in as nina" in client.read_until()
        accepted = client.command("collect")
        assert "your self-signed certificate was accepted" in accepted
        assert "save the blocks" not in accepted
    with connect_with(enrolling, own, tmp_path) as client:
        assert "you are nina (operator; class 0)" in client.read_until()
        event = enrolling.session_from(client.port)
        assert get(event, "rule.id") == "pin"
        assert get(event, "telnetsd.identity.class") == 0
    (pinned,) = (one for one in enrolling.events() if action_of(one) == "pin-added")
    assert get(pinned, "user.target.name") == "nina"


def test_a_denied_request_is_reported_to_the_guest(enrolling: RunningServer, tmp_path: Path) -> None:
    with connect_with(enrolling, Recipe(subject=name("nina")).self_signed(), tmp_path) as client:
        client.read_until()
        request_id = field(client.command("enroll nina"), "request")
        assert "is already waiting for the operator" in client.command("enroll nina")
        assert done(enrolling.home, "request", "deny", request_id) == f"denied {request_id}, for nina\n"
        assert f"the operator has denied {request_id}" in client.command("collect")
        said = refused(enrolling.home, "request", "approve", request_id)
        assert said.endswith("has already been decided: it is denied")
        event = enrolling.wait_for(lambda one: one["event"]["reason"] == "denied")
        assert action_of(event) == "command-failed"


def bad_signature() -> str:
    der = bytearray(make_csr("nina").public_bytes(Encoding.DER))
    der[-1] ^= 1
    return pem(x509.load_der_x509_csr(bytes(der)))


def weak_signature() -> str:
    key = ec_key()
    info = make_csr("nina", key).tbs_certrequest_bytes
    signature = key.sign(info, ec.ECDSA(hashes.SHA1()))  # noqa: S303 -- to be refused
    der = encode(0x30, info + ECDSA_SHA1 + encode(0x03, b"\0" + signature))
    assert content_of(der).startswith(info)
    assert ECDSA_SHA256 not in der
    return pem(x509.load_der_x509_csr(der))


SIGNING = key_usage("key_cert_sign")
BAD_REQUESTS = {
    "a bad signature": (bad_signature, "csr-bad-signature", "does not prove that you have its private key"),
    "SHA-1": (weak_signature, "csr-weak-signature", "is signed with a weak hash"),
    "a weak key": (
        lambda: pem(make_csr("nina", rsa.generate_private_key(65537, 1024))),
        "csr-weak-key",
        "is too weak or not accepted (RSA, 1024 bits)",
    ),
    "an odd curve": (
        lambda: pem(make_csr("nina", ec.generate_private_key(ec.SECP256K1()))),
        "csr-weak-key",
        "is too weak or not accepted (EC secp256k1, 256 bits)",
    ),
    "to be a CA": (
        lambda: pem(make_csr("nina", extension=x509.BasicConstraints(ca=True, path_length=None))),
        "csr-for-a-ca",
        "is for a CA certificate, which is never issued",
    ),
    "to sign certificates": (
        lambda: pem(make_csr("nina", extension=SIGNING)),
        "csr-for-a-ca",
        "is for a CA certificate, which is never issued",
    ),
    "another's name": (lambda: pem(make_csr("bob")), "csr-for-another", "the request names another user than nina"),
    "a look-alike of the name": (lambda: pem(make_csr("n\u0456na")), "csr-for-another", "another user than nina"),
    "junk in PEM": (
        lambda: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "csr-unreadable",
        "the request cannot be read",
    ),
    "a certificate": (
        lambda: make_ca().certificate.public_bytes(Encoding.PEM).decode(),
        "csr-unreadable",
        "the request cannot be read",
    ),
    "no PEM": (lambda: "who\n", "csr-unreadable", "not a certification request: it must begin with -----BEGIN"),
    "without end": (
        lambda: "-----BEGIN CERTIFICATE REQUEST-----\n" + f"{'A' * 64}\n" * 300 + ".\n",
        "given-up",
        "too long: at most 16384 bytes are accepted",
    ),
    "given up": (lambda: "-----BEGIN CERTIFICATE REQUEST-----\n.\n", "given-up", "cancelled"),
}


@pytest.mark.parametrize(("make", "reason", "said"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_an_invalid_request_is_refused_with_a_message_and_not_stored(
    make: Callable[[], str], reason: str, said: str, server: RunningServer, asking: Client
) -> None:
    assert said in paste(asking, "enroll nina", make())
    event = refusal(server, asking)
    assert (event["event"]["reason"], event["event"]["outcome"]) == (reason, "failure")
    assert get(event, "telnetsd.command.line") == "enroll nina"
    assert done(server.home, "request", "list", "--json") == "[]\n"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("Nina", "'Nina' cannot be a user name"),
        ("n\u0456na", r"'n\u0456na' cannot be a user name"),
        ("nina\x1b[2J", r"'nina\x1b[2J' cannot be a user name"),
        ("n\u202eina", r"'n\u202eina' cannot be a user name"),
        ("guest", "'guest' cannot be a user name"),
        ("n" * 33, "cannot be a user name"),
        ("n" * 4000, "cannot be a user name"),
    ],
)
def test_enrolment_refuses_an_invalid_user_name(asked: str, said: str, server: RunningServer, asking: Client) -> None:
    answer = paste(asking, f"enroll {asked}", pem(make_csr()))
    assert said in answer
    assert answer.replace("\n", "").isprintable()
    event = refusal(server, asking)
    assert event["event"]["reason"] == "name-refused"
    assert all(text.isprintable() for text in all_leaves(event))


def test_the_key_of_another_user_is_refused_without_naming_that_user(server: RunningServer, asking: Client) -> None:
    key = load_pem_private_key((server.home.users_folder / "bob.key").read_bytes(), None)
    answer = paste(asking, "enroll nina", pem(make_csr("nina", key)))
    assert "that key is not accepted; generate another one" in answer
    assert "bob" not in answer
    assert refusal(server, asking)["event"]["reason"] == "key-refused"


def test_a_weak_self_signed_key_is_refused(server: RunningServer, tmp_path: Path) -> None:
    weak = Recipe(subject=name("nina"), key=rsa.generate_private_key(65537, 1024)).self_signed()
    with connect_with(server, weak, tmp_path) as client:
        client.read_until()
        assert "that key is too weak or not accepted" in client.command("enroll nina")
        assert refusal(server, client)["event"]["reason"] == "key-refused"


def test_requests_are_limited_per_source_and_in_total(start: Callable[..., RunningServer]) -> None:
    server = start("[enrolment]\nper_source = 2\ntotal = 5\n")
    with connect_as(server) as client:
        client.read_until()
        for number in range(3):
            answer = paste(client, f"enroll nina{chr(97 + number)}", pem(make_csr()))
            assert ("too many requests came from your address" in answer) == (number == 2)
        with closing(sqlite3.connect(server.home.state_file)) as database, database:
            rows = "INSERT INTO requests SELECT id || ?, kind, name, status, subject, public_key, spki_sha256 || ?,"
            rows += " 'elsewhere', requested_at, expires_at, NULL, NULL, NULL, '', 0, x'' FROM requests LIMIT 1"
            for number in range(3):
                database.execute(rows, (number, number))
            database.execute("UPDATE requests SET source = 'elsewhere'")
        assert "too many requests are pending" in paste(client, "enroll ninad", pem(make_csr()))
    reasons = {one["event"]["reason"] for one in server.events() if action_of(one) == "command-failed"}
    assert reasons == {"too-many-from-source", "too-many-requests"}


def test_a_request_expires_and_the_log_says_so(enrolling: RunningServer, guest: Client) -> None:
    request_id = field(paste(guest, "enroll nina", pem(make_csr())), "request")
    with closing(sqlite3.connect(enrolling.home.state_file)) as database, database:
        past = (now() - timedelta(seconds=1)).isoformat(timespec="seconds")
        database.execute("UPDATE requests SET expires_at = ?", (past,))
    paste(guest, "enroll nine", pem(make_csr()))
    event = enrolling.wait_for(lambda one: action_of(one) == "enrolment-expired")
    assert get(event, "telnetsd.enrolment.id") == request_id
    assert refused(enrolling.home, "request", "approve", request_id).startswith(f"error: no request '{request_id}'")


def test_requests_are_refused_while_enrolment_is_closed(start: Callable[..., RunningServer]) -> None:
    server = start("[enrolment]\nis_open = false\n")
    with connect_as(server) as client:
        client.read_until()
        assert "enrolment is turned off" in paste(client, "enroll nina", pem(make_csr()))
        assert server.wait_for(lambda one: one["event"]["reason"] == "enrolment-closed")


def test_a_named_user_cannot_enrol(server: RunningServer) -> None:
    with connect_as(server, "bob") as client:
        client.read_until()
        assert client.command("enroll nina") == "you are already bob; for a new certificate, use: renew"
        assert "no request was made with the key of your certificate" in client.command("collect")


def test_the_operator_must_name_the_user_of_a_request_when_its_name_is_in_use(
    enrolling: RunningServer, guest: Client
) -> None:
    home = enrolling.home
    request_id = field(paste(guest, "enroll alice", pem(make_csr())), "request")
    assert "if the request is theirs, add --user alice" in refused(home, "request", "approve", request_id)
    said = refused(home, "request", "approve", request_id, "--user", "alice", "--role", "operator")
    assert "alice already has roles" in said
    assert "has no self-signed certificate" in refused(home, "request", "approve", request_id, "--pin", "--user", "x")
    assert "unknown role 'boss'" in refused(home, "request", "approve", request_id, "--user", "zoe", "--role", "boss")
    assert "no class 3" in refused(home, "request", "approve", request_id, "--user", "zoe", "--class", "3")
    done(home, "request", "approve", request_id, "--user", "zoe", "--role", "operator", "--days", "5")
    assert done(home, "user", "show", "zoe").startswith("zoe (operator), added ")


def test_a_pasted_line_is_not_a_command_and_an_interrupt_ends_the_paste(
    enrolling: RunningServer, guest: Client
) -> None:
    guest.send(b"enroll nina\r\n")
    guest.read_until(b"a single dot cancels\r\n")
    guest.send(b"-----BEGIN CERTIFICATE REQUEST-----\r\nquit\r\n\x03")
    guest.read_until(b"guest> ")
    assert guest.command("whoami").startswith("user         none: you are a guest")
    lines = [get(one, "telnetsd.command.line") for one in enrolling.events() if action_of(one) == "command-executed"]
    assert lines == ["enroll nina", "whoami"]


def test_a_guest_does_not_learn_which_users_exist(enrolling: RunningServer, guest: Client) -> None:
    """A name that can be read as a user's is accepted like any other; the operator sees it, and has to confirm it."""
    home = enrolling.home
    request_id = field(paste(guest, "enroll b0b", pem(make_csr())), "request")
    assert field(paste(guest, "enroll bob", pem(make_csr())), "request")
    assert "easily mistaken for the user bob" in done(home, "request", "show", request_id)
    assert "easily mistaken for the user bob" in refused(home, "request", "approve", request_id)


def test_a_decision_makes_room_for_another_request_and_a_renewal_needs_no_room(
    start: Callable[..., RunningServer],
) -> None:

    server = start("[enrolment]\nper_source = 1\ntotal = 1\n")
    add(server.home, "brief", days=5)
    with connect_as(server) as client, connect_as(server, "brief") as user:
        client.read_until()
        user.read_until()
        request_id = field(paste(client, "enroll nina", pem(make_csr())), "request")
        assert "too many requests" in paste(client, "enroll nine", pem(make_csr()))
        assert field(paste(user, "renew", pem(make_csr())), "request"), "strangers take no user's place"
        assert "is already waiting for the operator" in paste(user, "renew", pem(make_csr()))
        done(server.home, "request", "deny", request_id)
        assert field(paste(client, "enroll nine", pem(make_csr())), "request")


def test_a_secret_pasted_by_mistake_is_not_logged(enrolling: RunningServer, guest: Client) -> None:
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    key = ec_key()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    # After a bag of attributes; after a request; and, for a code, on the line of its command.
    paste(guest, "enroll nina", "Bag Attributes\n")
    guest.send(secret.replace("\n", "\r\n").encode() + b"whoami\r\n")
    assert "ignored: an unexpected pasted block, up to its end line" in guest.read_until(b"you are a guest")
    guest.read_until()
    paste(guest, "enroll nina", pem(make_csr("nina", key)) + secret, b"ignored: an unexpected pasted block")
    guest.read_until()
    assert "usage: collect [ID]" in guest.command("collect abcdefgh secr-etco-de12")
    guest.send("".join(f"  {line}\r\n" for line in secret.splitlines()).encode())
    assert "ignored: an unexpected pasted block" in guest.read_until()
    guest.send(f"collect abcdefgh\r\n{'x' * 300}\r\n".encode())
    assert "too long: at most 256 bytes are accepted\r\n" in guest.read_until()
    blocks = [
        get(one, "telnetsd.command.line")
        for one in enrolling.denials_from(guest.port)
        if get(one, "event.reason") == "unexpected-text"
    ]
    assert blocks == [f"-----BEGIN PRIVATE KEY----- ({len(secret.splitlines())} lines)"] * 3
    told = [text for event in enrolling.events() for text in all_leaves(event)]
    for line in secret.splitlines()[1:-1]:
        assert not any(line in text for text in told)
    assert not any("secr-etco" in text for text in told)
    assert "collect abcdefgh …" in told
    assert "secr" not in guest.command("whoami")


def test_blank_lines_in_an_answer_cost_almost_nothing(enrolling: RunningServer, guest: Client) -> None:
    """Re-reading all lines for each new one took three seconds for 16 KB of them; a limit on lines ends it sooner."""
    guest.send(b"enroll nina\r\n")
    guest.read_until(b"a single dot cancels\r\n")
    guest.send(b"\r\n" * 513)
    assert "too long" in guest.read_until(b"guest> ")
    assert guest.command("motd")


def test_blocked_enrolment_is_reported_and_delays_no_other_session(enrolling: RunningServer, guest: Client) -> None:
    """An operator's suspended change, as by ^Z, blocks enrolment, but neither clocks nor a revocation."""
    import fcntl

    home = enrolling.home
    with home.change_lock.open("r+") as lock, connect_as(enrolling, "bob") as bob:
        bob.read_until()
        fcntl.flock(lock, fcntl.LOCK_EX)
        guest.send(b"enroll nina\r\n")
        guest.read_until(b"a single dot cancels\r\n")
        guest.send(pem(make_csr()).encode())
        with closing(sqlite3.connect(home.state_file)) as database, database:
            database.execute("UPDATE certificates SET revoked_at = ? WHERE user_name = 'bob'", (now().isoformat(),))
        assert "was revoked on" in bob.read_to_end()
        ended = enrolling.session_from(bob.port, "session-ended")
        assert "the server is busy with other requests" in guest.read_until()
    reason = enrolling.wait_for(lambda one: one["event"]["reason"] == "desk-busy")
    assert action_of(reason) == "command-failed"
    assert ended["event"]["sequence"] < reason["event"]["sequence"]
    assert "another change has been in progress for too long" in enrolling.stop()


def test_a_home_without_requests_lists_none(home: Home) -> None:
    assert done(home, "request", "list", "--json") == "[]\n"
    assert refused(home, "request", "show", "nope") == "error: no request 'nope'; see: telnetsd request list"


def test_a_key_that_is_pasted_for_a_code_runs_nothing_and_is_not_logged(
    enrolling: RunningServer, guest: Client
) -> None:
    block = ["-----BEGIN PRIVATE KEY-----", "enroll eve csr", "MIGHAgEAMBMGByqGSM49", "-----END PRIVATE KEY-----"]
    guest.send(b"collect abcdefgh\r\n")
    guest.read_until(b"code: ")
    guest.send("\r\n".join([*block, "whoami"]).encode() + b"\r\n")
    assert "ignored: an unexpected pasted block" in guest.read_until(b"you are a guest")
    events = enrolling.events_from(guest.port)
    executed = [one for one in events if action_of(one) == "command-executed"]
    assert [get(one, "telnetsd.command.line") for one in executed] == ["collect abcdefgh", "whoami"]
    assert "MIGH" not in enrolling.home.audit_file.read_text()


def test_a_block_on_one_line_ends_on_that_line(guest: Client) -> None:
    guest.send(b"-----BEGIN X----- MIGH -----END X-----\r\nwhoami\r\n")
    assert "ignored: an unexpected pasted block" in guest.read_until(b"you are a guest")


def test_a_pasted_block_with_the_names_of_commands_runs_nothing(enrolling: RunningServer, guest: Client) -> None:
    block = [
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "whoami",
        "enroll eve csr",
        "quit",
        "help",
        "-----END OPENSSH PRIVATE KEY-----",
    ]
    guest.send("\r\n".join([*block, "whoami"]).encode() + b"\r\n")
    said = guest.read_until(b"you are a guest")
    assert said.count("ignored: an unexpected pasted block, up to its end line or a single dot\r\n") == 1
    assert "usage" not in said
    events = enrolling.events_from(guest.port)
    executed = [one for one in events if action_of(one) == "command-executed"]
    assert [get(one, "telnetsd.command.line") for one in executed] == ["whoami"]
    (denied,) = enrolling.denials_from(guest.port)
    assert get(denied, "telnetsd.command.line") == "-----BEGIN OPENSSH PRIVATE KEY----- (6 lines)"
    assert get(denied, "source.ip") == "127.0.0.1"


def test_a_block_that_never_ends_is_recorded_when_the_session_ends(enrolling: RunningServer, guest: Client) -> None:
    guest.send(b"-----BEGIN secret words-----\r\none\r\ntwo\r\n")
    guest.read_until(b"single dot\r\n")
    guest.tls.close()
    denied = enrolling.wait_for(lambda one: get(one, "event.reason") == "unexpected-text")
    assert get(denied, "telnetsd.command.line") == "-----BEGIN \u2026----- (3 lines)"
