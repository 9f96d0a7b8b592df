"""The built-in CA: what it issues, and with which profile."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.certificates import make_ca, now
from telnetsd.errors import OperatorError
from telnetsd.pki.authority import CA_DAYS, KeyType, create_authority, load_authority
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.pki.path import validate_path
from telnetsd.pki.trust import TrustAnchor, make_trust

AUTHORITY = create_authority("Test CA", now())


@pytest.mark.parametrize(
    ("key_type", "kind"),
    [
        (KeyType.EC, ec.EllipticCurvePrivateKey),
        (KeyType.RSA, rsa.RSAPrivateKey),
        (KeyType.ED25519, ed25519.Ed25519PrivateKey),
    ],
)
def test_each_kind_of_key_makes_a_certificate_that_path_validation_takes(key_type: KeyType, kind: type) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    issued = AUTHORITY.issue_user("alice", key_type, 30, now())
    assert isinstance(issued.key, kind)
    trust = make_trust((TrustAnchor(AUTHORITY.certificate, "ca.pem"),))
    assert validate_path(PeerCertificate(issued.certificate.public_bytes(Encoding.DER)), trust, now())


def test_no_certificate_outlives_its_ca() -> None:
    issued = AUTHORITY.issue_user("alice", KeyType.EC, CA_DAYS + 100, now())
    assert issued.certificate.not_valid_after_utc == AUTHORITY.certificate.not_valid_after_utc


def test_a_certificate_is_valid_a_little_before_it_was_made_for_clocks_that_are_behind() -> None:
    issued = AUTHORITY.issue_user("alice", KeyType.EC, 1, now())
    assert now() - timedelta(minutes=6) < issued.certificate.not_valid_before_utc < now() - timedelta(minutes=4)


def test_serial_numbers_are_random_and_positive() -> None:
    serials = {AUTHORITY.issue_user("a", KeyType.ED25519, 1, now()).certificate.serial_number for _ in range(50)}
    assert len(serials) == 50
    assert all(0 < serial < 2**159 for serial in serials)
    assert max(serials) > 2**150


def test_the_servers_certificate_names_hosts_and_addresses_and_is_for_servers_only() -> None:
    certificate = AUTHORITY.issue_server(["host.example", "127.0.0.1", "::1"], now()).certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["host.example"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_ca_is_loaded_with_its_own_key_and_with_no_other() -> None:
    issued, other = AUTHORITY.issued, create_authority("Test CA", now()).issued
    assert load_authority(issued.certificate_pem, issued.key_pem).certificate == issued.certificate
    with pytest.raises(OperatorError, match="is not the key of"):
        load_authority(issued.certificate_pem, other.key_pem)
    for certificate, key in ((b"hello", issued.key_pem), (issued.certificate_pem, b"hello")):
        with pytest.raises(OperatorError, match="the built-in CA cannot be read"):
            load_authority(certificate, key)


def test_a_ca_of_somebody_else_can_be_the_built_in_one() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    pair = make_ca("Company CA", key=rsa.generate_private_key(65537, 2048))
    key = pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    authority = load_authority(pair.certificate.public_bytes(Encoding.PEM), key)
    issued = authority.issue_user("alice", KeyType.EC, 1, now())
    issued.certificate.verify_directly_issued_by(pair.certificate)
