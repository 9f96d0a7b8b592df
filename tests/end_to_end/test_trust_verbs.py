"""Trusting other CAs on the command line, and explaining a certificate."""

import json
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from support.certificates import DAY, Recipe, ca_extensions, make_ca, make_intermediate, name, now
from support.command_line import done, refused, telnetsd
from support.homes import fingerprint, write_pem
from support.server import action_of, read_events
from telnetsd.administration.authority.authorities import passphrase_of_environment
from telnetsd.administration.enrolment.upkeep import keep_up
from telnetsd.files.home import Home


def test_an_unusable_trust_anchor_is_refused_and_leaves_nothing_behind(home: Home, tmp_path: Path) -> None:
    no_ca = write_pem(tmp_path / "leaf.pem", Recipe().self_signed())
    assert "is not usable: it is not a CA certificate" in refused(home, "trust", "add", no_ca)
    old = write_pem(tmp_path / "old.pem", make_ca(not_before=now() - 9 * DAY, not_after=now() - DAY))
    assert " expired on " in refused(home, "trust", "add", old)
    assert "is already known" in refused(home, "trust", "add", home.ca_certificate)
    (tmp_path / "junk.pem").write_text("hello")
    assert "not a PEM certificate" in refused(home, "trust", "add", tmp_path / "junk.pem")
    assert not list(home.trust_folder.iterdir())


def test_anchors_and_intermediates_are_added_listed_and_removed(home: Home, tmp_path: Path) -> None:
    one, two = make_ca("One"), make_ca("Two")
    sub = make_intermediate(one, "Sub")
    assert done(home, "trust", "add", write_pem(tmp_path / "both.pem", one, two)).count("trusted: ") == 2
    assert done(home, "trust", "add", "--intermediate", write_pem(tmp_path / "sub.pem", sub)) == "known: CN=Sub\n"
    rows = json.loads(done(home, "trust", "list", "--json"))
    found = {(row["is"], row["subject"]) for row in rows if row["source"] != "certs/ca.pem"}
    assert found == {("trust anchor", "CN=One"), ("trust anchor", "CN=Two"), ("intermediate", "CN=Sub")}
    assert done(home, "trust", "remove", fingerprint(two)) == "no longer trusted: CN=Two\n"
    assert done(home, "trust", "remove", fingerprint(sub)[7:30].upper()) == "no longer trusted: CN=Sub\n"
    bundle = write_pem(home.trust_folder / "bundle.pem", two, make_ca("Three"))
    done(home, "trust", "remove", fingerprint(two))
    assert bundle.read_bytes().count(b"BEGIN CERTIFICATE") == 1
    built_in = next(row["sha256"] for row in rows if row["source"] == "certs/ca.pem")
    assert "that is the built-in CA" in refused(home, "trust", "remove", built_in)
    actions = [action_of(one) for one in read_events(home)]
    assert (actions.count("trust-anchor-added"), actions.count("trust-anchor-removed")) == (3, 3)


def test_check_warns_about_a_configured_trust_anchor_that_is_missing(home: Home) -> None:
    home.config_file.write_text(f'[[trust_anchor]]\nfingerprint = "{fingerprint(make_ca())}"\nclass = 2\n')
    finished = telnetsd(home, "check")
    assert finished.returncode == 0
    assert "is not a trust anchor; see: trust list" in finished.stdout


def test_check_warns_about_a_ca_without_a_crl_where_one_is_required(home: Home, tmp_path: Path) -> None:
    done(home, "trust", "add", write_pem(tmp_path / "one.pem", make_ca("One")))
    assert "has no current CRL: its certificates are refused" in done(home, "check")


def test_each_kind_of_certificate_is_explained(home: Home, tmp_path: Path) -> None:
    assert done(home, "user", "explain", home.users_folder / "bob.pem").endswith("  bob (user), by built-in-ca\n")
    done(home, "user", "revoke", "bob", "--reason", "certificateHold")
    said = telnetsd(home, "user", "explain", home.users_folder / "bob.pem").stdout
    assert "CN=bob: on hold since " in said
    assert "refused (certificate-on-hold since " in said
    stranger = telnetsd(
        home, "user", "explain", write_pem(tmp_path / "s.pem", Recipe().signed_by(make_ca("X")))
    ).stdout
    assert "none to a trust anchor: unknown-issuer" in stranger
    assert stranger.endswith("  refused (unknown-issuer)\n")
    own = make_ca("pia", extensions=ca_extensions()[:1])
    pem = write_pem(tmp_path / "pia.pem", own)
    assert "not pinned: SHA256:" in telnetsd(home, "user", "explain", pem).stdout
    done(home, "user", "add", "pia", "--pin", pem)
    assert "of pia, since " in done(home, "user", "explain", pem)
    done(home, "user", "revoke", "pia")
    said = telnetsd(home, "user", "explain", pem, "--json").stdout
    assert json.loads(said)["outcome"].startswith("refused (certificate-revoked since ")
    odd = write_pem(tmp_path / "odd.pem", Recipe(subject=name("a\x1b[2Jb")).self_signed())
    assert r"a\x1b[2Jb" in telnetsd(home, "user", "explain", odd).stdout


def test_our_crl_is_signed_again_before_it_is_late_and_not_earlier(home: Home) -> None:
    home.config_file.write_text("[issuing]\ncrl_days = 1\n")
    keep_up(home, passphrase_of_environment)
    (path,) = home.crl_folder.iterdir()
    first = path.read_bytes()
    keep_up(home, passphrase_of_environment)
    assert path.read_bytes() == first
    from telnetsd.administration.authority.authorities import load_issuer

    begin = now() - DAY
    path.write_bytes(load_issuer(home).sign_crl([], 1, begin, 1).public_bytes(Encoding.PEM))
    keep_up(home, passphrase_of_environment)
    assert path.read_bytes() != first
    issued = [one for one in read_events(home) if action_of(one) == "crl-issued"]
    assert len(issued) == 2
    path.write_text("junk")
    keep_up(home, passphrase_of_environment)
    assert path.read_bytes().startswith(b"-----BEGIN X509 CRL-----")
