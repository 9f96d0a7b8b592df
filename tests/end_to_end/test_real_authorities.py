"""CAs as found in practice: what RFC 5280 allows is accepted, and anything else is refused with its cause."""

import socket
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.audit import read_log
from support.certificates import DAY, Pair, Recipe, ca_extensions, make_ca, make_crl, name, now
from support.client import Client, client_context, connect_as
from support.command_line import done, refused, telnetsd
from support.der import content_of, encode
from support.homes import fingerprint, write_pem
from support.openssl import openssl
from support.server import Event, RunningServer, action_of, get
from telnetsd.administration.users.credentials import user_files
from telnetsd.files.home import Home
from telnetsd.pki.der import BIT_STRING, SEQUENCE

ENTRY = """
[identity]
crl_policy = "prefer"
[[cert_to_name]]
id = "company"
fingerprint = "{fingerprint}"
map_type = "common-name"
roles = ["user"]
"""
LATER = now() + 1000 * DAY
PSS_WITHOUT_PARAMETERS = encode(SEQUENCE, bytes.fromhex("06092a864886f70d01010a"))


def trusting(start: Callable[..., RunningServer], home: Home, *authorities: Pair) -> RunningServer:
    """Start a server that trusts these CAs; the users of the first one are named by their common names."""
    for number, one in enumerate(authorities):
        write_pem(home.trust_folder / f"{number}.pem", one)
    return start(ENTRY.format(fingerprint=fingerprint(authorities[0])))


def said_to(server: RunningServer, pair: Pair, tmp_path: Path) -> str:
    """Return what a client that presents a certificate reads, up to the prompt or the end."""
    with Client(server.port, server.home.ca_certificate, pair.save(tmp_path, "presented")) as client:
        while b"> " not in client.received and (data := client.tls.recv(65536)):
            client.received += data
        return client.received.decode()


def test_rsa_pss_without_parameters_is_refused_with_its_cause_logged_and_explained(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    ca = make_ca("Company CA", key=key)
    server = trusting(start, home, ca)
    leaf = Recipe(subject=name("dora")).signed_by(ca)
    algorithm = bytes.fromhex("300d06092a864886f70d01010b0500")
    tbs = encode(
        SEQUENCE, content_of(leaf.certificate.tbs_certificate_bytes).replace(algorithm, PSS_WITHOUT_PARAMETERS)
    )
    der = encode(SEQUENCE, tbs + PSS_WITHOUT_PARAMETERS + encode(BIT_STRING, b"\0" + bytes(256)))
    certificate, key_file = leaf.save(tmp_path, "pss")
    certificate.write_text(ssl.DER_cert_to_PEM_cert(der))
    with Client(server.port, home.ca_certificate, (certificate, key_file)) as client:
        said = client.read_to_end()
        event = server.session_from(client.port, "session-refused")
    assert said.startswith("refused: the signature on your certificate (CN=dora) is of a kind that is too weak")
    assert "internal server error" not in said
    assert event["event"]["reason"] == "weak-signature"
    assert get(event, "tls.client.hash.sha256")
    explained = telnetsd(home, "user", "explain", certificate)
    assert "Traceback" not in explained.stderr
    assert event["event"]["reason"] in explained.stdout


def twice(certificate: x509.Certificate) -> bytes:
    """Return a certificate with its last extension doubled."""
    content = content_of(certificate.tbs_certificate_bytes)
    identifier = bytes.fromhex("0603551d0e")
    place = content.rindex(identifier) - 2
    extension = content[place : place + 2 + content[place + 1]]
    # The extensions field reaches to the end; a byte that only looks like its tag does not.
    tags = (at for at, byte in enumerate(content) if byte == 0xA3)
    extensions_at = next(at for at in tags if encode(0xA3, content_of(content[at:])) == content[at:])
    inner = content_of(content_of(content[extensions_at:])) + extension
    tbs = encode(SEQUENCE, content[:extensions_at] + encode(0xA3, encode(SEQUENCE, inner)))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")
    return encode(SEQUENCE, tbs + algorithm + encode(BIT_STRING, b"\0" + certificate.signature))


def raising_authorities() -> dict[str, bytes]:
    """CA certificates that make the X.509 library raise an exception."""
    short = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.30"), bytes.fromhex("300ea00c300a8708") + bytes(4)
    )
    x400 = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), bytes.fromhex("3004a3023000"))
    return {
        "an address of four bytes in a constraint": make_ca(extensions=[*ca_extensions(), (short, True)]).der,
        "one extension twice": twice(make_ca().certificate),
        "an X.400 address": make_ca(extensions=[*ca_extensions(), (x400, False)]).der,
    }


@pytest.mark.parametrize(
    "what", ["an address of four bytes in a constraint", "one extension twice", "an X.400 address"]
)
@pytest.mark.parametrize("folder", ["trust", "intermediates"])
def test_a_ca_file_that_makes_the_library_raise_is_refused_by_name_once_and_the_server_goes_on(
    folder: str, what: str, start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    odd = tmp_path / "odd.pem"
    odd.write_text(ssl.DER_cert_to_PEM_cert(raising_authorities()[what]))
    options = ["--intermediate"] if folder == "intermediates" else []
    assert "odd.pem" in refused(home, "trust", "add", odd, *options)
    server = start()
    place = home.certs_folder / folder / "odd.pem"
    place.write_bytes(odd.read_bytes())
    server.wait_for(lambda one: action_of(one) == "reload-failed")
    assert f"certs/{folder}/odd.pem" in refused(home, "reload")
    checked = telnetsd(home, "check")
    assert f"certs/{folder}/odd.pem" in "".join(checked.stdout.split()).replace(" ", "")
    assert "Traceback" not in checked.stderr
    with connect_as(server, "bob") as bob:
        bob.read_until()
        assert bob.command("echo goes on") == "goes on"
    assert f"certs/{folder}/odd.pem" in refused(home, "serve", "--listen", "127.0.0.1:0")
    # Once, and not every few seconds.
    failed = [one for one in server.events() if action_of(one) == "reload-failed"]
    assert len(failed) == 2


def easy_rsa() -> Pair:
    """A CA as easy-rsa makes it: basicConstraints is not critical."""
    return make_ca("Easy-RSA CA", extensions=[(one, False) for one, _ in ca_extensions()])


def openssl_req(tmp_path: Path) -> Pair:
    """A CA as `openssl req -x509` makes it: without keyUsage."""
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Plain CA", "-days", "1000",
            "-keyout", tmp_path / "plain.key", "-out", tmp_path / "plain.pem")  # fmt: skip
    key = load_pem_private_key((tmp_path / "plain.key").read_bytes(), None)
    certificate = x509.load_pem_x509_certificate((tmp_path / "plain.pem").read_bytes())
    assert isinstance(key, rsa.RSAPrivateKey)
    return Pair(certificate, key)


@pytest.mark.parametrize("kind", ["easy-rsa", "openssl req"])
def test_a_ca_made_by_common_tools_can_be_a_trust_anchor(
    kind: str, start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    ca = easy_rsa() if kind == "easy-rsa" else openssl_req(tmp_path)
    file = write_pem(tmp_path / "ca.pem", ca)
    done(home, "trust", "add", file)
    home.config_file.write_text(ENTRY.format(fingerprint=fingerprint(ca)))
    server = start()
    assert "dora> " in said_to(server, Recipe(subject=name("dora")).signed_by(ca), tmp_path)


def test_a_revoked_user_is_refused_by_the_second_crl_in_a_file(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    ca, other = make_ca("Company CA"), make_ca("Other CA")
    leaf = Recipe(subject=name("dora")).signed_by(ca)
    crls = [make_crl(issuer=other), make_crl(leaf.certificate.serial_number, issuer=ca)]
    pem = b"text before\n" + b"".join(x509.load_der_x509_crl(one).public_bytes(Encoding.PEM) for one in crls)
    (home.crl_folder / "both.pem").write_bytes(pem)
    server = trusting(start, home, ca, other)
    assert "revoked" in said_to(server, leaf, tmp_path)
    (home.crl_folder / "both.pem").write_bytes(pem + b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    assert "both.pem, part 3," in " ".join(telnetsd(home, "check").stdout.split())


def below(root: Pair, *, at_fault: str) -> tuple[Pair, str]:
    """Return a user below a defective intermediate, and words that name the cause."""
    extensions: list[tuple[x509.ExtensionType, bool]] = ca_extensions()
    cause, until = "", LATER
    match at_fault:
        case "expired":
            until, cause = now() - timedelta(hours=1), "expired"
        case "server's":
            extensions.append((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False))
            cause = "clientAuth"
        case "constrained in another form":
            extensions.append(
                (x509.NameConstraints([x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))], None), False)
            )
            cause = "RegisteredID"
        case "constrained to another company":
            company = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Other")])
            extensions.append((x509.NameConstraints([x509.DirectoryName(company)], None), False))
            cause = "is not among the names"
        case "constrained by mail":
            extensions.append((x509.NameConstraints(None, [x509.RFC822Name("evil.example")]), True))
            cause = "is among the names that it must not vouch for"
        case "with a policy":
            extensions.append((x509.PolicyConstraints(0, None), False))
            cause = "polic"
    recipe = Recipe(name("Middle"), not_before=now() - 2 * DAY, not_after=until, extensions=extensions)
    middle = recipe.signed_by(root)
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, "dora")]
    attributes.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, "dora@evil.example"))
    leaf = Recipe(x509.Name(attributes)).signed_by(middle)
    leaf.chain = [middle.certificate]
    return leaf, cause


@pytest.mark.parametrize(
    "at_fault",
    [
        "expired",
        "server's",
        "constrained in another form",
        "constrained to another company",
        "constrained by mail",
        "with a policy",
    ],
)
def test_the_cause_and_the_certificate_at_fault_are_shown_logged_and_explained(
    at_fault: str, start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    root = make_ca("Company CA")
    server = trusting(start, home, root)
    leaf, cause = below(root, at_fault=at_fault)
    credentials = leaf.save(tmp_path, "presented")
    with Client(server.port, home.ca_certificate, credentials) as client:
        said = client.read_to_end()
        event = server.session_from(client.port, "session-refused")
    assert cause in said
    assert cause in get(event, "telnetsd.path.cause")
    assert "CN=Middle" in said or "dora" in said
    assert get(event, "telnetsd.path.subject")
    explained = telnetsd(home, "user", "explain", credentials[0]).stdout
    assert cause in explained
    assert "at fault" in explained


def test_unsupported_name_constraints_are_refused_by_trust_add_and_named_by_check(home: Home, tmp_path: Path) -> None:
    constraints = x509.NameConstraints([x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))], None)
    ca = make_ca("Odd CA", extensions=[*ca_extensions(), (constraints, False)])
    assert "RegisteredID" in refused(home, "trust", "add", write_pem(tmp_path / "odd.pem", ca))
    write_pem(home.trust_folder / "odd.pem", ca)
    assert "RegisteredID" in telnetsd(home, "check").stdout


def test_a_user_with_a_locally_unknown_intermediate_resumes_after_a_reload_and_on_another_worker(
    start: Callable[..., RunningServer], home: Home, tmp_path: Path
) -> None:
    root = make_ca("Company CA")
    middle = Recipe(name("Middle"), not_after=LATER, extensions=ca_extensions(0)).signed_by(root)
    leaf = Recipe(name("dora")).signed_by(middle)
    leaf.chain = [middle.certificate]
    write_pem(home.trust_folder / "0.pem", root)
    server = start(ENTRY.format(fingerprint=fingerprint(root)), workers=2)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(home.ca_certificate, leaf.save(tmp_path, "dora"), version)
        session = None
        for number in range(6):
            if number == 3:
                done(home, "reload")
            with Client(server.port, home.ca_certificate, context=context, session=session) as client:
                assert client.read_until(b"dora> ")
                client.command("help")
                session = client.tls.session


@pytest.mark.parametrize("other", ["another.example", None])
def test_under_tls_1_2_a_session_is_not_resumed_with_another_server_name(
    other: str | None, server: RunningServer
) -> None:
    files = user_files(server.home, "bob")
    context = client_context(server.home.ca_certificate, (files.certificate, files.key), ssl.TLSVersion.TLSv1_2)
    context.check_hostname = False
    session = None
    for server_name, is_resumed in (("localhost", False), ("localhost", True), (other, False)):
        raw = socket.create_connection(("127.0.0.1", server.port))
        with context.wrap_socket(raw, server_hostname=server_name, session=session) as tls:
            while b"bob> " not in tls.recv(65536):
                pass
            assert tls.session_reused is is_resumed
            session = tls.session
            port = tls.getsockname()[1]
        assert get(server.session_from(port), "tls.client.server_name") == server_name


def _is_issued_to(event: Event, user: str) -> bool:
    return action_of(event) == "certificate-issued" and get(event, "user.target.name") == user


@pytest.mark.parametrize("kind", ["ml-dsa-44", "ml-dsa-65", "ml-dsa-87"])
def test_a_user_may_have_a_post_quantum_key(kind: str, home: Home) -> None:
    done(home, "user", "add", "quinn", "--key-type", kind)
    (event,) = [one for one in read_log(home.audit_file) if _is_issued_to(one, "quinn")]
    assert get(event, "tls.client.x509.public_key_algorithm") == kind.upper()
    explained = telnetsd(home, "user", "explain", user_files(home, "quinn").certificate)
    assert explained.returncode == 0
    assert "names quinn (user)" in explained.stdout
