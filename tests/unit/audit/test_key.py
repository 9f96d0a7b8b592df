"""The audit key in the home folder: what is refused, and what to do about it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from telnetsd.audit.key import load_audit_key, load_public_keys, make_audit_key
from telnetsd.errors import OperatorError
from telnetsd.files.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.certs_folder.mkdir(mode=0o700)
    make_audit_key(home)
    return home


def test_the_key_signs_for_the_public_key_beside_it(home: Home) -> None:
    key = load_audit_key(home)
    assert key.id in load_public_keys(home.audit_public_keys).by_id


@pytest.mark.parametrize(
    ("private", "words"),
    [
        (b"no key", "cannot read certs/audit.key: "),
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "certs/audit.key is not an Ed25519 key; ",
        ),
        (
            ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "certs/audit.pem lacks the public key of certs/audit.key; ",
        ),
    ],
    ids=["no key", "another kind", "another key"],
)
def test_a_private_key_that_cannot_sign_the_log_is_refused_with_a_remedy(
    private: bytes, words: str, home: Home
) -> None:
    home.audit_key.write_bytes(private)
    with pytest.raises(OperatorError) as refused:
        load_audit_key(home)
    assert str(refused.value).startswith(words)
    assert str(refused.value).endswith("telnetsd audit key --new")


EC_PUBLIC = ec.generate_private_key(ec.SECP256R1()).public_key()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read the audit log's public key: "),
        (b"-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----\n", "cannot read the audit log's public key: "),
        (b"", "no Ed25519 public key in "),
        (EC_PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "no Ed25519 public key in "),
    ],
    ids=["missing", "damaged", "empty", "another kind"],
)
def test_public_keys_that_cannot_be_used_are_refused(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "audit.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OperatorError) as refused:
        load_public_keys(path)
    assert str(refused.value).startswith(words)
