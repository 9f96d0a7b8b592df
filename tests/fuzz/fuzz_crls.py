"""A fuzz target for atheris: files of CRLs in DER and in PEM, changed real ones and others.

A failure is: an exception; a finding that is not one line of text; or a CRL that counts without its signature.

    scripts/fuzz crls [SECONDS]
"""

import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

with atheris.instrument_imports(include=["telnetsd"]):
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_der_x509_crl

    from support.certificates import Recipe, make_ca, make_crl, now
    from telnetsd.pki.certificate import certificate_sha256
    from telnetsd.pki.crl import RevocationLists, load_revocation_lists
    from telnetsd.pki.path import Signer

PEM_EVERY: Final = 2


def main() -> None:
    ca = make_ca()
    leaf = Recipe().signed_by(ca).certificate
    good = make_crl(1, 2, leaf.serial_number, issuer=ca)
    signer = Signer(ca.certificate, certificate_sha256(ca.certificate))
    pem = load_der_x509_crl(good).public_bytes(Encoding.PEM)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.crl"

        def look(data: bytes) -> None:
            if not data:
                return
            base = pem if data[0] % PEM_EVERY else good
            path.write_bytes(change(base, data[1:]) if data[0] < 200 else data[1:])
            lists = load_revocation_lists([(path, "certs/crl/one.crl")], RevocationLists())
            findings = [*lists.find_problems([ca.certificate], now()), *lists.find_unmatched([ca.certificate])]
            assert all(one.message.isprintable() for one in findings), findings
            status = lists.status_of(leaf, [signer], now())
            # The CA has signed only a CRL that revokes the leaf, so no other CRL may count.
            assert status.revocation is not None or not status.is_known

        atheris.Setup(sys.argv, look)
        atheris.Fuzz()


def change(base: bytes, data: bytes) -> bytes:
    """Overwrite bytes: each change is the slot in two bytes, and a value."""
    changed = bytearray(base)
    for start in range(0, len(data) - 2, 3):
        changed[int.from_bytes(data[start : start + 2], "big") % len(changed)] = data[start + 2]
    return bytes(changed)


if __name__ == "__main__":
    main()
