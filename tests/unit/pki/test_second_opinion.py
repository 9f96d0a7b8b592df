"""The library's verifier refuses by itself what our own rules refuse first."""

import pytest
from cryptography import x509

from support.certificates import Recipe, ca_extensions, key_usage, make_ca, name, now
from telnetsd.pki.second_opinion import library_objection

CA = make_ca()


@pytest.mark.parametrize(
    ("extensions", "objection"),
    [
        (ca_extensions(), ""),
        ([(x509.BasicConstraints(ca=False, path_length=None), True)], "cA must be asserted"),
        ([ca_extensions()[0], (key_usage("crl_sign"), True)], "keyUsage without keyCertSign"),
    ],
    ids=["a CA", "no CA", "a CA that may not sign certificates"],
)
def test_the_library_accepts_only_authorities_that_may_issue(
    extensions: list[tuple[x509.ExtensionType, bool]], objection: str
) -> None:
    recipe = Recipe(subject=name("Sub"), not_after=now().replace(year=2040), extensions=extensions)
    intermediate = recipe.signed_by(CA)
    leaf = Recipe().signed_by(intermediate)
    said = library_objection((leaf.certificate, intermediate.certificate, CA.certificate), now())
    assert (objection in said) if objection else (said == "")
