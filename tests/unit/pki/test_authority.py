"""The built-in CA: what it issues, and with which profile; and the CRLs that it signs."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.certificates import make_ca, now
from telnetsd.events.reason import RevocationReason
from telnetsd.pki.authority import ROOT_DAYS, Authority, UserProfile, create_root
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.pki.keys import KeyLockedError, KeyType, generate_key, key_from_pem, key_to_pem
from telnetsd.pki.path import validate_path
from telnetsd.pki.policies import ANY_POLICY
from telnetsd.pki.revocation import Revocation
from telnetsd.pki.trust import TrustAnchor, make_trust

AUTHORITY = create_root("Test CA", now(), path_length=0)
PUBLIC_KEY = generate_key(KeyType.EC).public_key()
ALICE = UserProfile("alice", 30)


@pytest.mark.parametrize(
    ("key_type", "kind"),
    [
        (KeyType.EC, ec.EllipticCurvePrivateKey),
        (KeyType.RSA, rsa.RSAPrivateKey),
        (KeyType.ED25519, ed25519.Ed25519PrivateKey),
    ],
)
def test_each_kind_of_key_makes_a_certificate_that_path_validation_accepts(key_type: KeyType, kind: type) -> None:
    key = generate_key(key_type)
    assert isinstance(key, kind)
    issued = AUTHORITY.issue_user(key.public_key(), ALICE, now())
    trust = make_trust((TrustAnchor(AUTHORITY.certificate, "ca.pem"),))
    assert validate_path(PeerCertificate(issued.public_bytes(Encoding.DER)), trust, now())


def test_a_users_certificate_has_only_what_the_policy_gives_it() -> None:
    profile = UserProfile("alice", 30, "1.3.6.1.4.1.99999.1.2", "http://ca.example/crl")
    extensions = {type(one.value): one for one in AUTHORITY.issue_user(PUBLIC_KEY, profile, now()).extensions}
    assert extensions.keys() == {
        x509.BasicConstraints,
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.SubjectKeyIdentifier,
        x509.AuthorityKeyIdentifier,
        x509.CertificatePolicies,
        x509.CRLDistributionPoints,
    }
    assert {kind for kind, one in extensions.items() if one.critical} == {x509.BasicConstraints, x509.KeyUsage}
    (policy,) = extensions[x509.CertificatePolicies].value
    assert policy.policy_identifier.dotted_string == "1.3.6.1.4.1.99999.1.2"
    (point,) = extensions[x509.CRLDistributionPoints].value
    assert [name.value for name in point.full_name] == ["http://ca.example/crl"]
    plain = AUTHORITY.issue_user(PUBLIC_KEY, ALICE, now()).extensions
    assert not {x509.CertificatePolicies, x509.CRLDistributionPoints} & {type(one.value) for one in plain}


def test_no_certificate_outlives_its_ca() -> None:
    issued = AUTHORITY.issue_user(PUBLIC_KEY, UserProfile("alice", ROOT_DAYS + 100), now())
    assert issued.not_valid_after_utc == AUTHORITY.certificate.not_valid_after_utc


def test_a_certificate_is_valid_shortly_before_it_was_made_for_clocks_that_are_behind() -> None:
    issued = AUTHORITY.issue_user(PUBLIC_KEY, ALICE, now())
    assert now() - timedelta(minutes=6) < issued.not_valid_before_utc < now() - timedelta(minutes=4)


def test_serial_numbers_are_random_and_positive() -> None:
    serials = {AUTHORITY.issue_user(PUBLIC_KEY, ALICE, now()).serial_number for _ in range(50)}
    assert len(serials) == 50
    assert all(0 < serial < 2**159 for serial in serials)
    assert max(serials) > 2**150


def test_the_servers_certificate_names_hosts_and_addresses_and_is_only_for_servers() -> None:
    certificate = AUTHORITY.issue_server(["host.example", "127.0.0.1", "::1"], now()).certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["host.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_an_intermediate_signs_only_leaves_and_its_users_have_a_path_to_the_root() -> None:
    root = create_root("Root", now(), path_length=1)
    made = root.issue_intermediate("Issuing", now())
    constraints = made.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    policies = made.certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert [one.policy_identifier.dotted_string for one in policies] == [ANY_POLICY]
    issuing = Authority(made.certificate, made.key, (made.certificate, root.certificate))
    leaf = issuing.issue_user(PUBLIC_KEY, ALICE, now()).public_bytes(Encoding.DER)
    trust = make_trust((TrustAnchor(root.certificate, "ca.pem"),))
    sent = (made.certificate.public_bytes(Encoding.DER),)
    assert len(validate_path(PeerCertificate(leaf, sent), trust, now()).certificates) == 3


def test_a_ca_made_elsewhere_can_be_the_built_in_one() -> None:
    for key in (rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()):
        pair = make_ca("Company CA", key=key)
        issued = Authority(pair.certificate, key, (pair.certificate,)).issue_user(PUBLIC_KEY, ALICE, now())
        issued.verify_directly_issued_by(pair.certificate)


def test_a_crl_has_its_number_its_issuers_key_its_expiry_and_the_reasons() -> None:
    moment = now()
    entries = [
        (7, Revocation(moment, RevocationReason.KEY_COMPROMISE)),
        (8, Revocation(moment, RevocationReason.UNSPECIFIED)),
        (9, Revocation(moment, RevocationReason.CERTIFICATE_HOLD)),
    ]
    crl = AUTHORITY.sign_crl(entries, 3, moment, 7)
    assert crl.is_signature_valid(PUBLIC_KEY) is False
    assert crl.is_signature_valid(AUTHORITY.key.public_key())
    assert crl.next_update_utc == moment + timedelta(days=7)
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 3
    assert crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    reasons = {entry.serial_number: [one.value.reason.value for one in entry.extensions] for entry in crl}
    assert reasons == {7: ["keyCompromise"], 8: [], 9: ["certificateHold"]}


def test_an_encrypted_key_opens_only_with_its_passphrase() -> None:
    key = generate_key(KeyType.EC)
    pem = key_to_pem(key, b"secret")
    assert b"ENCRYPTED" in pem
    assert key_to_pem(key_from_pem(pem, b"secret")) == key_to_pem(key)
    with pytest.raises(KeyLockedError, match="wrong passphrase"):
        key_from_pem(pem, b"guess")
    with pytest.raises(KeyLockedError, match="a passphrase is needed"):
        key_from_pem(pem)
