"""Keys: which types there are, and what they are called."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, mldsa, x25519

from telnetsd.pki.certificate import key_facts
from telnetsd.pki.keys import KeyType, generate_key, key_type_of


@pytest.mark.parametrize("key_type", list(KeyType))
def test_a_key_of_each_type_can_be_generated_and_is_recognised(key_type: KeyType) -> None:
    assert key_type_of(generate_key(key_type)) is key_type


def test_no_key_is_generated_like_one_of_an_unsupported_type() -> None:
    with pytest.raises(ValueError, match="unsupported key type: "):
        key_type_of(ed448.Ed448PrivateKey.generate().public_key())


def test_each_key_has_a_name_and_a_size_in_bits() -> None:
    assert key_facts(ed448.Ed448PrivateKey.generate().public_key()) == ("Ed448", 456)
    assert key_facts(mldsa.MLDSA65PrivateKey.generate().public_key()) == ("ML-DSA-65", 15616)
    assert key_facts(x25519.X25519PrivateKey.generate().public_key()) == ("X25519", 0)
