"""Path validation (RFC 5280 section 6): which certificates are verified, and why the others are not."""

import subprocess
from datetime import datetime
from pathlib import Path
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.certificates import (
    DAY,
    CostlyKey,
    Pair,
    Recipe,
    ca_extensions,
    ec_key,
    key_usage,
    make_ca,
    make_intermediate,
    name,
    now,
)
from support.machine import needs_openssl
from telnetsd.events.reason import PathReason
from telnetsd.pki.certificate import PRESENTED_MAX, PeerCertificate
from telnetsd.pki.path import CertificationPath, PathError, validate_path
from telnetsd.pki.trust import Trust, TrustAnchor, make_trust

CA = make_ca()
EKU = x509.ExtendedKeyUsage


def trust_of(*anchors: Pair) -> Trust:
    return make_trust(tuple(TrustAnchor(one.certificate, "test.pem") for one in anchors))


def validate(peer: PeerCertificate, trust: Trust | None = None, at: datetime | None = None) -> CertificationPath:
    return validate_path(peer, trust or trust_of(CA), at or now())


def reason_against(peer: PeerCertificate, trust: Trust | None = None, at: datetime | None = None) -> PathReason:
    with pytest.raises(PathError) as caught:
        validate(peer, trust, at)
    return caught.value.reason


def test_a_client_certificate_of_a_trust_anchor_is_verified() -> None:
    leaf = Recipe().signed_by(CA)
    path = validate(leaf.peer)
    assert path.leaf == leaf.certificate
    assert path.certificates[1] == CA.certificate
    assert path.valid_until == leaf.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [(key_usage("digital_signature"), True)],
        [(EKU([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), True)],
        [(x509.SubjectAlternativeName([x509.DNSName("a.example")]), False)],
        [(x509.SubjectAlternativeName([x509.RFC822Name("a@a.example")]), True)],
        [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), False)],
    ],
    ids=["nothing", "key usage", "both purposes", "a name", "a critical name", "an unknown extension"],
)
def test_optional_extensions_of_a_leaf_may_be_absent_or_present(
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> None:
    assert validate(Recipe(extensions=extensions).signed_by(CA).peer)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "Ed25519", "RSA-2048"],
)
def test_strong_keys_are_accepted(key: ec.EllipticCurvePrivateKey) -> None:
    assert validate(Recipe(key=key).signed_by(CA).peer)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.SECP224R1()),
        rsa.generate_private_key(65537, 1024),
        rsa.generate_private_key(65537, 2047),
    ],
    ids=["secp256k1", "P-224", "RSA-1024", "RSA-2047"],
)
def test_weak_keys_are_refused(key: ec.EllipticCurvePrivateKey) -> None:
    assert reason_against(Recipe(key=key).signed_by(CA).peer) is PathReason.WEAK_KEY


@pytest.mark.parametrize("key", [dsa.generate_private_key(2048), ed448.Ed448PrivateKey.generate()])
def test_keys_of_other_kinds_are_not_supported(key: ec.EllipticCurvePrivateKey) -> None:
    assert reason_against(Recipe(key=key).signed_by(CA).peer) is PathReason.UNSUPPORTED_KEY


def test_a_presented_intermediate_completes_the_path() -> None:
    intermediate = make_intermediate(CA)
    leaf = Recipe().signed_by(intermediate)
    assert reason_against(leaf.peer) is PathReason.UNKNOWN_ISSUER
    leaf.chain = [make_ca("noise").certificate, intermediate.certificate]
    assert [one.subject for one in validate(leaf.peer).certificates] == [
        leaf.certificate.subject,
        intermediate.certificate.subject,
        CA.certificate.subject,
    ]


def test_an_unreadable_intermediate_is_ignored() -> None:
    intermediate = make_intermediate(CA)
    leaf = Recipe().signed_by(intermediate)
    peer = PeerCertificate(leaf.der, (b"\x30\x03\x02\x01\x01", intermediate.der))
    assert validate(peer)


def test_only_the_first_intermediates_are_considered() -> None:
    intermediate = make_intermediate(CA)
    leaf = Recipe().signed_by(intermediate)
    peer = PeerCertificate(leaf.der, (CA.der,) * PRESENTED_MAX + (intermediate.der,))
    assert reason_against(peer) is PathReason.UNKNOWN_ISSUER


def test_an_expired_intermediate_breaks_the_path() -> None:
    recipe = Recipe(
        subject=name("old"), extensions=ca_extensions(0), not_before=now() - 9 * DAY, not_after=now() - DAY
    )
    intermediate = recipe.signed_by(CA)
    leaf = Recipe().signed_by(intermediate)
    leaf.chain = [intermediate.certificate]
    assert reason_against(leaf.peer) is PathReason.BAD_PATH


def test_a_path_ends_when_its_first_certificate_expires() -> None:
    recipe = Recipe(subject=name("short"), extensions=ca_extensions(0), not_after=now() + DAY)
    intermediate = recipe.signed_by(CA)
    leaf = Recipe().signed_by(intermediate)
    leaf.chain = [intermediate.certificate]
    assert validate(leaf.peer).valid_until == intermediate.certificate.not_valid_after_utc


def test_validity_includes_both_ends() -> None:
    leaf = Recipe().signed_by(CA)
    first, last = leaf.certificate.not_valid_before_utc, leaf.certificate.not_valid_after_utc
    trust = trust_of(make_ca_of(CA, first - DAY))
    assert validate(leaf.peer, trust, first)
    assert validate(leaf.peer, trust, last)
    assert reason_against(leaf.peer, trust, first - DAY / 86400) is PathReason.NOT_YET_VALID
    assert reason_against(leaf.peer, trust, last + DAY / 86400) is PathReason.EXPIRED


def make_ca_of(ca: Pair, not_before: datetime) -> Pair:
    """The same CA with the same key, valid from an earlier date."""
    recipe = Recipe(subject=ca.certificate.subject, key=ca.key, not_before=not_before, extensions=ca_extensions())
    recipe.not_after = ca.certificate.not_valid_after_utc
    return recipe.self_signed()


def test_a_trust_anchor_is_never_a_user() -> None:
    assert reason_against(CA.peer) is PathReason.CA_CERTIFICATE


def test_a_self_signed_ca_certificate_does_not_vouch_for_what_it_signed() -> None:
    """A pitfall of `openssl req -x509`, which makes CA certificates: when presented, one is still no trust anchor."""
    own = make_ca("alice")
    leaf = Recipe().signed_by(own)
    leaf.chain = [own.certificate]
    assert reason_against(own.peer) is PathReason.SELF_SIGNED
    assert reason_against(leaf.peer) is PathReason.UNKNOWN_ISSUER


def test_an_expired_self_signed_certificate_is_refused_as_expired() -> None:
    leaf = Recipe(not_before=now() - 9 * DAY, not_after=now() - DAY).self_signed()
    assert reason_against(leaf.peer) is PathReason.EXPIRED


def test_a_loop_of_issuers_is_an_unknown_issuer() -> None:
    keys = [ec_key(), ec_key()]
    names = [name("one"), name("two")]
    loop = [
        Recipe(subject=names[i], key=keys[i], extensions=ca_extensions()).signed(names[1 - i], keys[1 - i])
        for i in (0, 1)
    ]
    leaf = Recipe().signed(names[0], keys[0])
    leaf.chain = [one.certificate for one in loop]
    assert reason_against(leaf.peer) is PathReason.UNKNOWN_ISSUER


@pytest.mark.parametrize("der", [b"", b"\x00", b"\x30\x80", b"\x30\x03\x02\x01\x01", CA.der[:-1], CA.der + b"\x00"])
def test_bytes_that_are_not_a_certificate_are_malformed(der: bytes) -> None:
    assert reason_against(PeerCertificate(der)) is PathReason.MALFORMED


@needs_openssl
def test_a_signature_with_sha1_is_refused(tmp_path: Path) -> None:
    ca, ca_key = CA.save(tmp_path, "ca")
    leaf, request = tmp_path / "leaf.der", tmp_path / "leaf.csr"
    new_key = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        str(tmp_path / "leaf.key"),
    ]
    subprocess.run(["openssl", "req", "-new", *new_key, "-subj", "/CN=alice", "-out", request], check=True)
    signing = ["-CA", str(ca), "-CAkey", str(ca_key), "-set_serial", "7", "-sha1", "-days", "2"]
    subprocess.run(["openssl", "x509", "-req", "-in", request, *signing, "-outform", "DER", "-out", leaf], check=True)
    assert reason_against(PeerCertificate(leaf.read_bytes())) is PathReason.WEAK_SIGNATURE


def test_a_signature_of_an_unknown_kind_is_refused_as_weak() -> None:
    leaf = Recipe().signed_by(CA)
    ecdsa_with_sha256 = bytes.fromhex("06082a8648ce3d040302")
    assert leaf.der.count(ecdsa_with_sha256) == 2
    changed = leaf.der.replace(ecdsa_with_sha256, bytes.fromhex("06082a8648ce3d040309"))
    assert reason_against(PeerCertificate(changed)) is PathReason.WEAK_SIGNATURE


@pytest.mark.parametrize(
    "extensions",
    [
        [(x509.BasicConstraints(ca=True, path_length=None), True)],
        [(key_usage("key_agreement"), True)],
        [(EKU([ExtendedKeyUsageOID.SERVER_AUTH]), False)],
        [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00"), True)],
    ],
    ids=["a CA", "key usage", "purpose", "an unknown critical extension"],
)
def test_the_verifier_by_itself_refuses_what_our_own_rules_refuse(
    extensions: list[tuple[x509.ExtensionType, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two independent checks: each of them is tested with the other one turned off."""
    monkeypatch.setattr("telnetsd.pki.path.leaf_problem", lambda _: None)
    assert reason_against(Recipe(extensions=extensions).signed_by(CA).peer)


def test_whatever_the_library_raises_at_a_certificate_is_a_refusal_with_its_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("telnetsd.pki.path.find_chains", fail)
    with pytest.raises(PathError) as caught:
        validate(Recipe().signed_by(CA).peer)
    assert caught.value.problem.reason is PathReason.MALFORMED
    assert "RuntimeError: a fault" in caught.value.problem.cause


def test_a_leaf_with_a_costly_key_is_refused_before_anything_is_verified() -> None:
    recipe = Recipe()
    recipe.key = CostlyKey()  # type: ignore[assignment]
    assert reason_against(recipe.signed_by(CA).peer) is PathReason.WEAK_KEY


def test_a_path_through_a_ca_with_a_weak_key_is_refused_and_names_it() -> None:
    recipe = Recipe(subject=name("Weak"), key=rsa.generate_private_key(65537, 1024), extensions=ca_extensions())
    weak = recipe.signed_by(CA)
    leaf = Recipe().signed_by(weak)
    leaf.chain = [weak.certificate]
    with pytest.raises(PathError) as caught:
        validate(leaf.peer)
    assert caught.value.problem.reason is PathReason.BAD_PATH
    assert "its key is too weak" in caught.value.problem.cause


def test_a_path_through_a_ca_with_a_weak_signature_is_refused_and_names_it() -> None:
    key = Recipe().key
    sub = Recipe(subject=name("Sub"), key=key, extensions=ca_extensions()).signed_by(CA).certificate
    builder = x509.CertificateBuilder(
        CA.certificate.subject, sub.subject, sub.public_key(), 7, sub.not_valid_before_utc, sub.not_valid_after_utc
    )
    for extension in sub.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    weak = Pair(builder.sign(cast("ec.EllipticCurvePrivateKey", CA.key), hashes.SHA224()), key)
    leaf = Recipe().signed_by(weak)
    leaf.chain = [weak.certificate]
    with pytest.raises(PathError) as caught:
        validate(leaf.peer)
    assert "its signature is of a kind that is too weak" in caught.value.problem.cause
