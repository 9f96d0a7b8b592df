"""Reading a pin: the SHA-256 of a public key, given directly or taken from a certificate in a file."""

import re
from datetime import datetime
from pathlib import Path
from typing import Final

from telnetsd.config.values import FINGERPRINT_PREFIX
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.pki.certificate import spki_sha256, without_warnings
from telnetsd.pki.path_reason import pin_problem
from telnetsd.pki.trust import load_certificates

_SPKI: Final = re.compile(rf"{FINGERPRINT_PREFIX}([0-9A-Fa-f]{{64}})")


def parse_pin(text: str, at: datetime) -> str:
    """Return the SHA-256 of a public key, in lower-case hexadecimal.

    Args:
        text: `SHA256:…` of the SubjectPublicKeyInfo, or the path of a certificate in PEM.
        at: The time at which the certificate has to be valid.
    Raises:
        OperatorError: The text is neither, or the certificate could not log in.
    """
    if text.upper().startswith(FINGERPRINT_PREFIX):
        match = _SPKI.fullmatch(text)
        if match is None:
            raise OperatorError("not a fingerprint: write SHA256: and 64 hexadecimal digits, as `enroll` shows them")
        return match[1].lower()
    leaf = load_certificates(Path(text), escape(text, TEXT_MAX_CHARS))[0].certificate
    if leaf.issuer != leaf.subject:
        raise OperatorError(
            f"{text} is not self-signed, and only self-signed certificates can be pinned; see: telnetsd trust add"
        )
    with without_warnings():
        problem = pin_problem(leaf, at)
    if problem is not None:
        raise OperatorError(f"{text} could not log in ({problem.value}); ask for another certificate")
    return spki_sha256(leaf)
