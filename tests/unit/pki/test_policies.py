"""Certificate policies along a path (RFC 5280 section 6.1.3 (d))."""

import pytest
from cryptography import x509

from support.certificates import Pair, Recipe, ca_extensions, make_ca, name, now
from telnetsd.pki.policies import ANY_POLICY, PolicyError, asserted_policies

CA = make_ca()
A, B = "1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2"
MAPPINGS_OID = x509.ObjectIdentifier("2.5.29.33")
MAPPING = x509.UnrecognizedExtension(
    MAPPINGS_OID, bytes.fromhex("3018301606092b06010401868d1f0106092b06010401868d1f02")
)
"""Policy A of the issuer's domain is policy B of the subject's."""


def policies(*oids: str) -> tuple[x509.ExtensionType, bool]:
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(one), None) for one in oids]), False


def path(leaf: list[str], *intermediates: list[tuple[x509.ExtensionType, bool]]) -> tuple[x509.Certificate, ...]:
    issuer, found = CA, [CA.certificate]
    for number, extensions in enumerate(intermediates):
        recipe = Recipe(subject=name(f"Sub {number}"), not_after=now().replace(year=2030))
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
        ([B], [[policies(A), (MAPPING, True)]], {A}),
        ([A], [[policies(A), (MAPPING, True)]], set()),
        ([B], [[policies(A), (MAPPING, True)], [policies(ANY_POLICY)]], {A}),
        ([A], [[policies(ANY_POLICY), (x509.InhibitAnyPolicy(0), True)]], {A}),
        ([A], [[policies(ANY_POLICY), (x509.InhibitAnyPolicy(0), True)], [policies(ANY_POLICY)]], set()),
        ([A], [[policies(A), (x509.PolicyConstraints(0, None), True)]], {A}),
        ([B], [[policies(A), (x509.PolicyConstraints(None, 0), True)], [policies(A), (MAPPING, True)]], set()),
    ],
)
def test_a_policy_counts_when_every_certificate_below_the_anchor_asserts_it(
    leaf: list[str], intermediates: list[list[tuple[x509.ExtensionType, bool]]], asserted: set[str]
) -> None:
    assert asserted_policies(path(leaf, *intermediates)) == asserted


REQUIRED = x509.PolicyConstraints(0, None), False


@pytest.mark.parametrize(
    ("leaf", "intermediates"),
    [
        ([], [[policies(A), REQUIRED]]),
        ([B], [[policies(A), REQUIRED]]),
        ([A], [[REQUIRED]]),
        ([A], [[policies(A), (MAPPING, True), REQUIRED]]),
        ([ANY_POLICY], [[policies(ANY_POLICY), REQUIRED, (x509.InhibitAnyPolicy(0), False)]]),
        ([A], [[policies(A), (MAPPING, True), (x509.PolicyConstraints(0, None), True)], []]),
    ],
)
def test_a_path_that_must_assert_a_policy_and_asserts_none_is_refused_whether_critical_or_not(
    leaf: list[str], intermediates: list[list[tuple[x509.ExtensionType, bool]]]
) -> None:
    with pytest.raises(PolicyError, match="polic"):
        asserted_policies(path(leaf, *intermediates))


@pytest.mark.parametrize(
    "extension",
    [
        x509.UnrecognizedExtension(MAPPINGS_OID, b"\x30\x03\x02\x01\x00"),
        x509.UnrecognizedExtension(MAPPINGS_OID, b""),
        x509.UnrecognizedExtension(MAPPINGS_OID, bytes.fromhex("301330110604551d200006092b06010401868d1f01")),
    ],
)
def test_unreadable_policies_invalidate_the_path(extension: x509.UnrecognizedExtension) -> None:
    with pytest.raises(PolicyError):
        asserted_policies(path([A], [policies(A), (extension, False)]))


TWO_MAPPINGS = x509.UnrecognizedExtension(
    MAPPINGS_OID, bytes.fromhex("3030" + 2 * "301606092b06010401868d1f0106092b06010401868d1f02")
)


def test_more_policies_or_mappings_than_the_maximum_invalidate_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    mapped, listed = path([B], [policies(A), (TWO_MAPPINGS, False)]), path([A, B], [policies(ANY_POLICY)])
    assert asserted_policies(mapped) == {A}
    assert asserted_policies(listed) == {A, B}
    monkeypatch.setattr("telnetsd.pki.policies.POLICIES_MAX", 1)
    for chain, words in ((mapped, "more than 1 policies are mapped"), (listed, "more than 1 certificate policies")):
        with pytest.raises(PolicyError, match=words):
            asserted_policies(chain)
