"""The public suites of certificates: the data of the PyPI package `cryptography_vectors`."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import cryptography_vectors

X509_FOLDER = Path(cryptography_vectors.__file__).parent / "x509"
PKITS_FOLDER = X509_FOLDER / "PKITS_data"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def x509_files() -> list[Path]:
    """Every file that may hold a certificate, a CRL, a request or something that looks like one."""
    return sorted(path for path in X509_FOLDER.rglob("*") if path.suffix in {".crt", ".crl", ".der", ".pem", ".cp"})


def ders_of(path: Path) -> Iterator[bytes]:
    """Yield the certificates of a PEM file, or the whole content of any other file."""
    content = path.read_bytes()
    blocks = _PEM.findall(content)
    if not blocks:
        yield content
    for block in blocks:
        try:
            yield ssl.PEM_cert_to_DER_cert(block.decode("ascii"))
        except ValueError:
            yield block
