"""Certificate policies along a path (RFC 5280 section 6.1.3 (d))."""

import pytest
from cryptography import x509

from support.certificates import Pair, Recipe, ca_extensions, make_ca, name, now
from telnetsd.pki.policies import ANY_POLICY, asserted_policies

CA = make_ca()
A, B = "1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2"
MAPPINGS = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), b"\x30\x00")


def policies(*oids: str) -> tuple[x509.ExtensionType, bool]:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(one), None) for one in oids]), False


def path(leaf: list[str], *intermediates: list[tuple[x509.ExtensionType, bool]]) -> tuple[x509.Certificate, ...]:
    issuer, found = CA, [CA.certificate]
    for extensions in intermediates:
        recipe = Recipe(subject=name("Sub"), not_after=now().replace(year=2030))
        recipe.extensions = [*ca_extensions(), *extensions]
        issuer = recipe.signed_by(issuer)
        found.insert(0, issuer.certificate)
    own = [*Recipe().extensions, policies(*leaf)] if leaf else Recipe().extensions
    made: Pair = Recipe(extensions=own).signed_by(issuer)
    return made.certificate, *found


@pytest.mark.parametrize(
    ("leaf", "intermediates", "asserted"),
    [
        ([], [], set()),
        ([A], [], {A}),
        ([A, B], [], {A, B}),
        ([ANY_POLICY], [], set()),
        ([A, ANY_POLICY], [], {A}),
        ([A], [[]], set()),
        ([A, B], [[policies(B)]], {B}),
        ([A], [[policies(ANY_POLICY)]], {A}),
        ([A, B], [[policies(ANY_POLICY)], [policies(A)]], {A}),
        ([A], [[policies(A)], []], set()),
        ([A], [[policies(ANY_POLICY), (MAPPINGS, False)]], set()),
        ([A], [[policies(ANY_POLICY), (x509.InhibitAnyPolicy(0), False)]], set()),
        ([A], [[policies(A), (x509.PolicyConstraints(0, None), False)]], set()),
    ],
)
def test_a_policy_counts_when_every_certificate_below_the_anchor_asserts_it(
    leaf: list[str], intermediates: list[list[tuple[x509.ExtensionType, bool]]], asserted: set[str]
) -> None:
    assert asserted_policies(path(leaf, *intermediates)) == asserted
