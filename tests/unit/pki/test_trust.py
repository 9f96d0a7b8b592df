"""Trust anchors: which files are accepted, and with which messages the others are refused."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from support.certificates import CostlyKey, Pair, Recipe, ca_extensions, make_ca, name
from telnetsd.errors import OperatorError
from telnetsd.pki.trust import Trust, authority_limits, load_certificates, make_trust


def load(path: Path) -> Trust:
    return make_trust(tuple(load_certificates(path, "certs/trust/it.pem")))


def ca_with(key: object) -> Pair:
    return make_ca("Other CA", key=key)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (ca_with(ed25519.Ed25519PrivateKey.generate()), "its key is Ed25519"),
        (ca_with(rsa.generate_private_key(65537, 1024)), "its key is RSA of 1024 bits"),
        (ca_with(ec.generate_private_key(ec.SECP256K1())), "its key is EC secp256k1"),
        (Recipe(subject=name("no CA")).self_signed(), "it is not a CA certificate"),
        (Recipe(extensions=[]).self_signed(), "it has no basicConstraints extension"),
    ],
)
def test_an_unusable_trust_anchor_is_refused_with_a_message(pair: Pair, words: str, tmp_path: Path) -> None:
    certificate, _ = pair.save(tmp_path, "it")
    with pytest.raises(OperatorError, match=r"not usable as a trust anchor: certs/trust/it\.pem: ") as caught:
        load(certificate)
    assert words in str(caught.value)


def test_a_ca_without_key_usage_is_accepted_as_openssl_makes_it(tmp_path: Path) -> None:
    assert load(make_ca(extensions=ca_extensions()[:1]).save(tmp_path, "it")[0])


def test_a_ca_that_may_not_sign_certificates_is_refused(tmp_path: Path) -> None:
    from support.certificates import key_usage

    extensions: list[tuple[x509.ExtensionType, bool]] = [ca_extensions()[0], (key_usage("crl_sign"), True)]
    certificate, _ = Recipe(extensions=extensions).self_signed().save(tmp_path, "it")
    with pytest.raises(OperatorError, match="does not allow it to sign certificates"):
        load(certificate)


def test_a_file_without_a_certificate_is_refused_with_a_message(tmp_path: Path) -> None:
    path = tmp_path / "it.pem"
    with pytest.raises(OperatorError, match="cannot read certs/trust/it.pem: No such file"):
        load(path)
    path.write_text("hello")
    with pytest.raises(OperatorError, match=r"not a PEM certificate: certs/trust/it\.pem"):
        load(path)


def test_the_absence_of_any_trust_anchor_is_refused() -> None:
    with pytest.raises(OperatorError, match="no trust anchor"):
        make_trust(())


def test_one_file_may_hold_several_trust_anchors(tmp_path: Path) -> None:
    bundle = make_ca("One")
    bundle.chain = [make_ca("Two").certificate]
    certificate, _ = bundle.save(tmp_path, "bundle")
    assert len(load(certificate).anchors) == 2


def test_strong_rsa_and_elliptic_curve_anchors_are_accepted(tmp_path: Path) -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP521R1())):
        load(ca_with(key).save(tmp_path, "it")[0])


def test_an_anchor_with_unreadable_extensions_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    der = make_ca().certificate.public_bytes(Encoding.DER)
    constraints = bytes.fromhex("0603551d130101ff040530030101ff")
    assert constraints in der
    broken = x509.load_der_x509_certificate(der.replace(constraints, constraints[:-2] + bytes.fromhex("02ff")))
    (tmp_path / "it.pem").write_bytes(broken.public_bytes(Encoding.PEM))
    with pytest.raises(OperatorError, match="its extensions cannot be read"):
        load(tmp_path / "it.pem")


def test_an_anchor_with_a_costly_key_is_refused() -> None:
    recipe = Recipe(subject=name("Costly"), extensions=ca_extensions())
    recipe.key = CostlyKey()  # type: ignore[assignment]
    costly = recipe.signed_by(make_ca()).certificate
    assert authority_limits(costly).startswith("its key takes too long to verify with")
