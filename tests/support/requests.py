"""Certification requests, and the session in which they are pasted."""

import re

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from support.certificates import ec_key, name
from support.client import Client


def make_csr(
    common_name: str | None = None, key: object = None, extension: x509.ExtensionType | None = None
) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        name(common_name) if common_name else x509.Name([])
    )
    if extension is not None:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(key or ec_key(), hashes.SHA256())  # type: ignore[arg-type]


def pem(csr: x509.CertificateSigningRequest) -> str:
    return csr.public_bytes(Encoding.PEM).decode()


def paste(client: Client, line: str, text: str, prompt: bytes = b"> ") -> str:
    client.send(line.encode() + b"\r\n")
    client.read_until(b"a single dot cancels\r\n")
    client.send(text.replace("\n", "\r\n").encode())
    return client.read_until(prompt).replace("\r", "")


def field(text: str, label: str) -> str:
    match = re.search(rf"^{label} +(\S+)", text, re.MULTILINE)
    assert match is not None, text
    return match[1]
