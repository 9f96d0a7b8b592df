"""Every row of the table of outcomes, over live TLS: what the client reads, and what the audit log says."""

import ssl
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.certificates import DAY, Pair, Recipe, key_usage, make_ca, make_intermediate, name, now
from support.client import Client, connect_as
from support.server import Event, RunningServer, get
from telnetsd.files.home import Home


@dataclass(frozen=True)
class Case:
    """A certificate that is presented, and the expected outcome."""

    make: Callable[[Pair], Pair]
    outcome: str
    reason: str
    said: str


def _without(kind: type[x509.ExtensionType]) -> list[tuple[x509.ExtensionType, bool]]:
    return [(value, critical) for value, critical in Recipe().extensions if not isinstance(value, kind)]


def _expired(ca: Pair) -> Pair:
    return Recipe(not_before=now() - 30 * DAY, not_after=now() - DAY).signed_by(ca)


def _server_purpose(ca: Pair) -> Pair:
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    return Recipe(extensions=[*_without(x509.ExtendedKeyUsage), (purpose, False)]).signed_by(ca)


def _no_signing(ca: Pair) -> Pair:
    return Recipe(extensions=[*_without(x509.KeyUsage), (key_usage("key_agreement"), True)]).signed_by(ca)


def _a_ca(ca: Pair) -> Pair:
    constraints = x509.BasicConstraints(ca=True, path_length=None)
    return Recipe(extensions=[*_without(x509.BasicConstraints), (constraints, True)]).signed_by(ca)


def _critical_stranger(ca: Pair) -> Pair:
    stranger = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    return Recipe(extensions=[*Recipe().extensions, (stranger, True)]).signed_by(ca)


def _forged_issuer(ca: Pair) -> Pair:
    return Recipe().signed(ca.certificate.subject, make_ca().key)


def _below_a_leaf(ca: Pair) -> Pair:
    """A user's certificate used as a CA, which path validation must refuse."""
    user = Recipe(subject=name("mallory")).signed_by(ca)
    forged = Recipe().signed_by(user)
    forged.chain = [user.certificate]
    return forged


def _below_a_bounded_ca(ca: Pair) -> Pair:
    """The built-in CA signs only leaves (path length 0): an intermediate below it vouches for no certificate."""
    intermediate = make_intermediate(ca)
    leaf = Recipe().signed_by(intermediate)
    leaf.chain = [intermediate.certificate]
    return leaf


CASES = {
    "valid but unmapped": Case(
        lambda ca: Recipe(subject=name("carol")).signed_by(ca), "guest", "no-user-mapped", "no user is mapped to it"
    ),
    "self-signed": Case(
        lambda _: Recipe().self_signed(), "guest", "self-signed-not-pinned", "is self-signed (CN=alice)"
    ),
    "self-signed CA": Case(
        lambda _: make_ca("alice"), "guest", "self-signed-not-pinned", "its public key is SHA256:"
    ),
    "expired": Case(_expired, "refused", "certificate-expired", "(CN=alice) expired on "),
    "not yet valid": Case(
        lambda ca: Recipe(not_before=now() + DAY).signed_by(ca),
        "refused",
        "certificate-not-yet-valid",
        "is not valid before ",
    ),
    "unknown issuer": Case(
        lambda _: Recipe().signed_by(make_ca("Other CA")),
        "refused",
        "unknown-issuer",
        "was issued by CN=Other CA, which this server does not trust",
    ),
    "forged issuer": Case(_forged_issuer, "refused", "bad-signature", "but was not signed by it"),
    "purpose of a server": Case(_server_purpose, "refused", "wrong-purpose", "was not issued for clients"),
    "no digitalSignature": Case(_no_signing, "refused", "wrong-purpose", "was not issued for clients"),
    "a CA certificate": Case(_a_ca, "refused", "ca-certificate", "is never a user"),
    "RSA of 1024 bits": Case(
        lambda ca: Recipe(key=rsa.generate_private_key(65537, 1024)).signed_by(ca),
        "refused",
        "weak-key",
        "(CN=alice: RSA, 1024 bits) is too weak",
    ),
    "unknown critical extension": Case(
        _critical_stranger,
        "refused",
        "unknown-critical-extension",
        "a critical extension that this server does not know",
    ),
    "issued by a user": Case(_below_a_leaf, "refused", "bad-path", "to a trusted authority is not valid"),
    "below a CA for leaves": Case(_below_a_bounded_ca, "refused", "bad-path", "to a trusted authority is not valid"),
    "control characters in the name": Case(
        lambda _: Recipe(subject=name("a\x1b[31m\n\u202eb")).signed_by(make_ca()),
        "refused",
        "unknown-issuer",
        r"(CN=a\x1b[31m\x0a\u202eb)",
    ),
}


@pytest.fixture(scope="module")
def built_in_ca(made_home: Home) -> Pair:
    certificate = x509.load_pem_x509_certificate(made_home.ca_certificate.read_bytes())
    key = load_pem_private_key(made_home.ca_key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return Pair(certificate, key)


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS1.2", "TLS1.3"])
def version(request: pytest.FixtureRequest) -> ssl.TLSVersion:
    return ssl.TLSVersion(request.param)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_certificate_gets_its_outcome_its_message_and_its_event(
    case: Case, version: ssl.TLSVersion, built_in_ca: Pair, server: RunningServer, tmp_path: Path
) -> None:
    pair = case.make(built_in_ca)
    with Client(server.port, server.home.ca_certificate, pair.save(tmp_path, "c"), version=version) as client:
        if case.outcome == "guest":
            said = client.read_until(b"guest> ")
            event = server.session_from(client.port)
        else:
            said = client.read_to_end()
            assert said.startswith("refused: ")
            event = server.session_from(client.port, "session-refused")
        assert case.said in said
        assert said.isascii()
        assert event["event"]["reason"] == case.reason
        assert event["event"]["outcome"] == ("success" if case.outcome == "guest" else "failure")
        assert "name" not in event.get("user", {}), "what a certificate claims is no user name"
        _assert_certificate_is_told(event, pair, case)


def _assert_certificate_is_told(event: Event, pair: Pair, case: Case) -> None:
    statuses = {"no-user-mapped": "verified", "self-signed-not-pinned": "provisional"}
    assert get(event, "telnetsd.certificate.status") == statuses.get(case.reason, "rejected")
    assert get(event, "tls.client.x509.serial_number") == f"{pair.certificate.serial_number:X}"
    assert get(event, "tls.client.x509.issuer.distinguished_name") == pair.certificate.issuer.rfc4514_string()
    common_name = get(event, "tls.client.x509.subject.common_name")[0]
    assert common_name in {"alice", "carol", r"a\x1b[31m\x0a\u202eb"}
    assert len(get(event, "tls.client.hash.sha256")) == 64


def test_a_user_with_a_valid_certificate_is_greeted_by_name_and_named_in_the_event(server: RunningServer) -> None:
    with connect_as(server, "bob") as client:
        said = client.read_until(b"bob> ")
        assert said.startswith("you are bob (user; class 1); your certificate ends in 364 days\r\n")
        event = server.session_from(client.port)
        assert get(event, "user.name") == "bob"
        assert get(event, "rule.id") == "built-in-ca"
        assert get(event, "telnetsd.certificate.status") == "verified"
        assert get(event, "tls.client.x509.subject.common_name") == ["bob"]
        assert get(event, "tls.version") == "1.3"


def test_a_client_without_a_certificate_is_a_guest_with_that_reason(server: RunningServer) -> None:
    with connect_as(server) as client:
        said = client.read_until(b"guest> ")
        assert said.startswith("you are a guest: your client presented no certificate\r\n")
        assert "guests may use: ca, collect, enroll, help, motd, quit, whoami" in said
        event = server.session_from(client.port)
        assert event["event"]["reason"] == "no-certificate"
        assert get(event, "telnetsd.identity.kind") == "guest"
        assert get(event, "tls.client") == {"server_name": "localhost"}


def test_an_ed25519_user_logs_in(server: RunningServer) -> None:
    with connect_as(server, "ed") as client:
        assert client.read_until(b"ed> ").startswith("you are ed (user; class 1)")


@pytest.mark.parametrize("user", ["bob", None])
def test_a_resumed_session_has_the_identity_of_the_full_handshake(
    user: str | None, version: ssl.TLSVersion, server: RunningServer
) -> None:
    with connect_as(server, user, version=version) as first:
        greeting = first.read_until()
        first.command("help")
        session = first.tls.session
        context = first.context
        first.send(b"quit\r\n")
        first.read_to_end()
    with connect_as(server, session=session, context=context) as second:
        assert second.tls.session_reused
        assert second.read_until() == greeting
        event = server.session_from(second.port)
        assert get(event, "tls.resumed") is True
        assert get(event, "user.name") == user


def test_a_certificate_with_the_name_of_a_user_and_another_key_does_not_name_that_user(
    built_in_ca: Pair, server: RunningServer, tmp_path: Path
) -> None:
    """The CA vouches for `bob` with another key: the state knows to whom it was issued, the subject does not."""
    stranger = Recipe(subject=name("bob")).signed_by(built_in_ca)
    with Client(server.port, server.home.ca_certificate, stranger.save(tmp_path, "bob")) as client:
        assert client.read_until(b"guest> ").startswith("you are a guest: your certificate is valid (CN=bob), but")
        assert get(server.session_from(client.port), "user.name") is None


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (None, "no-certificate"),
        (lambda _: Recipe().self_signed(), "self-signed-not-pinned"),
        (lambda ca: Recipe(subject=name("carol")).signed_by(ca), "no-user-mapped"),
    ],
    ids=["none", "self-signed", "unmapped"],
)
def test_require_certificate_refuses_every_guest(
    make: Callable[[Pair], Pair] | None,
    reason: str,
    built_in_ca: Pair,
    start: Callable[..., RunningServer],
    tmp_path: Path,
) -> None:
    server = start("[identity]\nrequire_certificate = true\n")
    credentials = make(built_in_ca).save(tmp_path, "c") if make else None
    with Client(server.port, server.home.ca_certificate, credentials) as client:
        assert client.read_to_end().startswith("refused: your c")
        event = server.session_from(client.port, "session-refused")
        assert event["event"]["reason"] == reason
    with connect_as(server, "bob") as client:
        assert client.read_until(b"bob> ")


def test_a_user_removed_from_the_state_is_a_guest_at_the_next_login(
    start: Callable[..., RunningServer],
) -> None:
    import sqlite3

    server = start()
    with connect_as(server, "bob") as client:
        client.read_until(b"bob> ")
    with closing(sqlite3.connect(server.home.state_file)) as database, database:
        database.execute("DELETE FROM certificates WHERE user_name = 'bob'")
    with connect_as(server, "bob") as client:
        assert "no user is mapped to it" in client.read_until(b"guest> ")
