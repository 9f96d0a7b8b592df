"""A company's CA made with `openssl ca`: trusted, mapped, revoked, reloaded, while the server runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.client import Client
from support.command_line import done, refused, telnetsd
from support.openssl import OpensslClient
from support.openssl_ca import OpensslCa
from support.server import RunningServer, action_of, get, wait_until
from telnetsd.files.home import Home

pytestmark = pytest.mark.unmeasured

MAPPING = """
[[cert_to_name]]
id = "company-mail"
fingerprint = "{fingerprint}"
map_type = "san-rfc822-name"
pattern = "{{name}}@example.com"
roles = ["user"]
"""


def fingerprint_of(home: Home, subject: str) -> str:
    line = next(line for line in done(home, "trust", "list").splitlines() if subject in line)
    return line.split()[-1]


def write_mapping(home: Home, *more: str) -> None:
    home.config_file.write_text(MAPPING.format(fingerprint=fingerprint_of(home, "Example Root")) + "\n".join(more))


@pytest.fixture
def root(tmp_path: Path) -> OpensslCa:
    return OpensslCa(tmp_path / "root", "/O=Example/CN=Example Root")


@pytest.fixture
def issuing(tmp_path: Path, root: OpensslCa) -> OpensslCa:
    return OpensslCa(tmp_path / "issuing", "/O=Example/CN=Example Issuing", root)


def wait_until_refused(server: RunningServer, certificate: Path, key: Path, words: str) -> None:
    """Connect until the server, which watches its files, refuses in these words."""

    def is_refused() -> bool:
        with OpensslClient(server, certificate, key) as client:
            return words in client.read_to_end()

    wait_until(is_refused, words)


def test_users_of_a_company_ca_log_in_by_the_mapping_and_are_out_when_its_crl_revokes_them(
    start: Callable[..., RunningServer], root: OpensslCa, issuing: OpensslCa, tmp_path: Path
) -> None:
    server = start()
    home = server.home
    certificate, key = issuing.issue("dora", "/O=Example/CN=Dora Doe", "subjectAltName = email:dora@EXAMPLE.com")
    chain = tmp_path / "dora.pem"
    chain.write_text(certificate.read_text() + issuing.certificate.read_text())

    # Not trusted: the refusal names the issuer.
    with OpensslClient(server, chain, key) as client:
        assert "was issued by CN=Example Issuing,O=Example, which this server does not trust" in client.read_to_end()

    # Trusted, not mapped, no CRL: refused, since it is unknown whether the certificate was revoked.
    assert 'map_type = "san-rfc822-name"' in done(home, "trust", "add", root.certificate)
    words = "no current CRL says whether your certificate (CN=Dora Doe,O=Example) was revoked"
    wait_until_refused(server, chain, key, words)

    # With both CRLs: a guest with a valid certificate.
    root.write_crl(home.crl_folder / "root.pem")
    issuing.write_crl(home.crl_folder / "issuing.crl")
    done(home, "reload")
    with OpensslClient(server, chain, key) as client:
        assert "no user is mapped to it" in client.read_until("guest> ")
    explained = telnetsd(home, "user", "explain", chain)
    assert explained.returncode == 1
    assert explained.stdout.endswith("  a guest (no-user-mapped)\n")

    # Mapped: dora, on the screen and in the log.
    write_mapping(home)
    assert done(home, "reload").startswith("reloaded: 2 trust anchors, ")
    with OpensslClient(server, chain, key) as client:
        assert "you are dora (user; class 0)" in client.read_until("dora> ")
        explained_again = done(home, "user", "explain", chain)
        assert "entry company-mail  names dora (user)" in explained_again
        assert explained_again.endswith("  dora (user), by company-mail\n")
        event = server.wait_for(lambda one: get(one, "user.name") == "dora" and action_of(one) == "session-started")
        assert get(event, "rule.id") == "company-mail"

        # A reload with an error changes nothing and says why.
        good = home.config_file.read_text()
        home.config_file.write_text(good + "[[cert_to_name]]\nid = 'x'\n")
        assert refused(home, "reload").startswith(
            "error: nothing was reloaded: missing fingerprint in telnetsd.toml line "
        )
        assert server.wait_for(lambda one: action_of(one) == "reload-failed")["event"]["outcome"] == "failure"
        assert "dora" in client.command("whoami", "dora> ")
        home.config_file.write_text(good)

        # Revoked by the company: the session ends, and a new login is refused with the date.
        issuing.revoke(certificate)
        issuing.write_crl(home.crl_folder / "issuing.crl")
        assert "(CN=Dora Doe,O=Example) was revoked on " in client.read_to_end()
    with OpensslClient(server, chain, key) as client:
        assert "(keyCompromise)" in client.read_to_end()
    refusal = server.wait_for(lambda one: one["event"]["reason"] == "certificate-revoked" and "user" not in one)
    assert get(refusal, "telnetsd.certificate.revocation_reason") == "keyCompromise"

    # No longer trusted: the session ends.
    other_certificate, other_key = issuing.issue(
        "emil", "/O=Example/CN=Emil", "subjectAltName = email:emil@example.com"
    )
    other = tmp_path / "emil.pem"
    other.write_text(other_certificate.read_text() + issuing.certificate.read_text())
    with OpensslClient(server, other, other_key) as client:
        client.read_until("emil> ")
        done(home, "trust", "remove", fingerprint_of(home, "Example Root"))
        assert "which this server does not trust: this session ends" in client.read_to_end()


def test_a_known_intermediate_need_not_be_sent(
    start: Callable[..., RunningServer], root: OpensslCa, issuing: OpensslCa
) -> None:
    server = start()
    home = server.home
    certificate, key = issuing.issue("dora", "/CN=dora", "subjectAltName = email:dora@example.com")
    done(home, "trust", "add", root.certificate)
    write_mapping(home, '[identity]\ncrl_policy = "prefer"\n')
    done(home, "reload")
    with Client(server.port, home.ca_certificate, (certificate, key)) as client:
        assert "refused: " in client.read_to_end()
    done(home, "trust", "add", issuing.certificate, "--intermediate")
    done(home, "reload")
    with Client(server.port, home.ca_certificate, (certificate, key)) as client:
        client.read_until(b"dora> ")


def test_a_certificate_is_valid_again_when_the_company_removes_its_hold(
    start: Callable[..., RunningServer], root: OpensslCa
) -> None:
    server = start()
    home = server.home
    certificate, key = root.issue("dora", "/CN=dora", "subjectAltName = email:dora@example.com")
    done(home, "trust", "add", root.certificate)
    write_mapping(home)
    root.write_crl(home.crl_folder / "root.pem")
    done(home, "reload")
    index = (root.folder / "index.txt").read_text()
    with OpensslClient(server, certificate, key) as client:
        client.read_until("dora> ")
        root.revoke(certificate, "certificateHold")
        root.write_crl(home.crl_folder / "root.pem")
        assert "your certificate (CN=dora) is on hold since " in client.read_to_end()
    (root.folder / "index.txt").write_text(index)
    root.write_crl(home.crl_folder / "root.pem")
    done(home, "reload")
    with OpensslClient(server, certificate, key) as client:
        client.read_until("dora> ")


@pytest.mark.parametrize(("policy", "verdict"), [("require", "error"), ("prefer", "warning")])
def test_an_unusable_crl_is_handled_by_the_policy_and_reported(
    policy: str, verdict: str, start: Callable[..., RunningServer], root: OpensslCa, tmp_path: Path
) -> None:
    stranger = OpensslCa(tmp_path / "stranger", "/CN=Stranger")
    namesake = OpensslCa(tmp_path / "namesake", "/O=Example/CN=Example Root")
    server = start()
    home = server.home
    certificate, key = root.issue("dora", "/CN=dora", "subjectAltName = email:dora@example.com")
    done(home, "trust", "add", root.certificate)
    namesake.revoke(namesake.issue("x", "/CN=x")[0])
    stranger.write_crl(home.crl_folder / "stranger.pem")
    namesake.write_crl(home.crl_folder / "namesake.pem")
    times = ("-crl_lastupdate", "20250101000000Z", "-crl_nextupdate", "20250201000000Z")
    root.write_crl(home.crl_folder / "late.pem", *times)
    (home.crl_folder / "junk.pem").write_text("hello")
    write_mapping(home, f'[identity]\ncrl_policy = "{policy}"\n')
    done(home, "reload")
    told = {get(one, "event.reason") for one in server.events() if action_of(one) == "crl-rejected"}
    assert told == {"crl-bad-signature", "crl-expired", "crl-unreadable"}
    checked = [line for line in telnetsd(home, "check").stdout.splitlines() if line.startswith("CRLs ")]
    assert len([line for line in checked if f"CRLs                {verdict}" in line]) >= 3
    # Clients may send that CA: its CRL counts for them, and must not be removed.
    (counting,) = [line for line in checked if "stranger.pem" in line]
    assert counting.startswith("CRLs                ok ")
    assert "it counts only for clients that send the certificate" in counting
    assert "remove" not in counting
    with OpensslClient(server, certificate, key) as client:
        if policy == "prefer":
            client.read_until("dora> ")
        else:
            assert "no current CRL says whether" in client.read_to_end()
            reason = "revocation-status-unknown"
            assert server.wait_for(lambda one: one["event"]["reason"] == reason)["event"]["outcome"] == "failure"


def test_a_certificate_revoked_by_an_expired_crl_stays_revoked_under_the_prefer_policy(
    start: Callable[..., RunningServer], root: OpensslCa
) -> None:
    server = start()
    home = server.home
    certificate, key = root.issue("dora", "/CN=dora", "subjectAltName = email:dora@example.com")
    done(home, "trust", "add", root.certificate)
    write_mapping(home, '[identity]\ncrl_policy = "prefer"\n')
    root.revoke(certificate)
    times = ("-crl_lastupdate", "20250101000000Z", "-crl_nextupdate", "20250201000000Z")
    root.write_crl(home.crl_folder / "late.pem", *times)
    done(home, "reload")
    with OpensslClient(server, certificate, key) as client:
        assert "was revoked on " in client.read_to_end()


def test_the_same_serial_number_and_subject_from_another_ca_is_another_certificate(
    start: Callable[..., RunningServer], root: OpensslCa, tmp_path: Path
) -> None:
    other = OpensslCa(tmp_path / "other", "/O=Example/CN=Other Root")
    server = start()
    home = server.home
    names = "subjectAltName = email:dora@example.com"
    certificate, key = root.issue("dora", "/CN=dora", names)
    twin, twin_key = other.issue("dora", "/CN=dora", names)
    done(home, "trust", "add", root.certificate)
    done(home, "trust", "add", other.certificate)
    write_mapping(home)
    other.revoke(twin)
    root.write_crl(home.crl_folder / "root.pem")
    other.write_crl(home.crl_folder / "other.pem")
    done(home, "reload")
    with OpensslClient(server, certificate, key) as client:
        client.read_until("dora> ")
    with OpensslClient(server, twin, twin_key) as client:
        assert "was revoked on" in client.read_to_end()
