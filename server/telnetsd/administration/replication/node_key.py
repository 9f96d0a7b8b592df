"""The key of this node, which signs what it tells the other nodes, and the keys of the others."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from telnetsd.errors import OperatorError
from telnetsd.files.home import Home, require_secret
from telnetsd.pki.certificate import is_issued_by

_REMEDY = "restore a backup, or join again: telnetsd fleet join --replace"


def load_node_key(home: Home) -> Ed25519PrivateKey:
    """Load the key of this node.

    Raises:
        OperatorError: It is missing, cannot be read, or is accessible to other users.
    """
    require_secret(home, home.fleet_node_key, _REMEDY)
    try:
        key = load_pem_private_key(home.fleet_node_key.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OperatorError(f"cannot read {home.shown(home.fleet_node_key)}: {error}; {_REMEDY}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise OperatorError(f"{home.shown(home.fleet_node_key)} is not an Ed25519 key; {_REMEDY}")
    return key


def load_fleet_ca(home: Home) -> x509.Certificate:
    """Load the certificate of the fleet's CA.

    Raises:
        OperatorError: It is missing, or cannot be read.
    """
    try:
        return x509.load_pem_x509_certificate(home.fleet_ca_certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise OperatorError(f"cannot read {home.shown(home.fleet_ca_certificate)}: {error}; {_REMEDY}") from error


def key_of_node(name: str, certificate: bytes, ca: x509.Certificate) -> Ed25519PublicKey | None:
    """Return the key in a node's certificate; None if the fleet's CA did not issue it to a node of that name.

    How long the certificate is valid is for TLS to check: a signature on an old change stays valid.
    """
    try:
        found = x509.load_der_x509_certificate(certificate)
        names = [one.value for one in found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        key = found.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    is_right = names == [name] and isinstance(key, Ed25519PublicKey) and is_issued_by(found, ca)
    return key if is_right and isinstance(key, Ed25519PublicKey) else None
