"""The fingerprints by which a certificate may be known.

An ECDSA signature (r, s) has a twin (r, n - s) that is equally valid, and any party can compute it. A certificate
that a peer presents may have either. So a fingerprint that names a certificate is compared with both.
"""

from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.pki.der import BIT_STRING, SEQUENCE, content_of, encode


@lru_cache(maxsize=1024)
def fingerprints_of(certificate: x509.Certificate, issuer: x509.Certificate) -> frozenset[str]:
    """Return the SHA-256 of a certificate's DER, in lower-case hexadecimal, with each of its valid signatures.

    Args:
        certificate: A certificate whose signature has been verified.
        issuer: The certificate of the CA that signed it.
    """
    der = certificate.public_bytes(Encoding.DER)
    found = {sha256(der).hexdigest()}
    key = issuer.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        found.add(sha256(_with_twin_signature(certificate, der, key.curve)).hexdigest())
    return frozenset(found)


def _with_twin_signature(certificate: x509.Certificate, der: bytes, curve: ec.EllipticCurve) -> bytes:
    r, s = decode_dss_signature(certificate.signature)
    twin = encode_dss_signature(r, curve.group_order - s)
    signed, _ = content_of(der)
    _, algorithm = content_of(der, signed)
    _, signature = content_of(der, algorithm)
    return encode(SEQUENCE, der[signed:signature] + encode(BIT_STRING, b"\0" + twin))
