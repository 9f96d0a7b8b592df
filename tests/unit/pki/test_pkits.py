"""The Public Key Interoperability Test Suite of NIST (PKITS 1.0.1), through path validation, CRLs and `identify`.

Each test of the suite is a certificate. Its name says whether its path is valid with the suite's default settings
(any policy is acceptable, none is required, mapping is allowed). Here, a certificate counts as accepted if it leads
to a guest that no user is mapped to: its path is valid, and a current CRL covers every certificate of it.
"""

from contextlib import closing
from datetime import UTC, datetime

import pytest

from support.vectors import PKITS_FOLDER
from telnetsd.identity.assurance import make_classes
from telnetsd.identity.identify import Identifier, Policy
from telnetsd.identity.outcome import Guest, Identity, Refusal
from telnetsd.pki.certificate import MalformedCertificateError, PeerCertificate, parse_certificate
from telnetsd.pki.crl import RevocationLists, load_revocation_lists
from telnetsd.pki.trust import TrustAnchor, make_trust
from telnetsd.state.sqlite.store import SqliteStore

AT = datetime(2025, 1, 1, tzinfo=UTC)
TESTS = sorted(path.stem for path in (PKITS_FOLDER / "certs").glob("*EE.crt"))
INVALID_BY_THEIR_TEXT = {f"DifferentPoliciesTest{number}EE" for number in (4, 5, 7, 8, 9, 12)}
"""Their names do not say it."""

DSA = "keys are RSA, P-256, P-384, P-521, Ed25519 and ML-DSA: DSA is not accepted"
NAMES = "names are compared byte for byte by the library, as RFC 5280 4.1.2.6 has CAs write them"
AUTHORITY = "a CA certificate is never a user"
DELTA = "delta CRLs are not supported, which RFC 5280 section 5.2.4 allows: the base CRL decides alone"
INDIRECT = "indirect CRLs are not supported: the certificate has no CRL, and is refused"
SOME_REASONS = "CRLs for some reasons alone are not supported: the certificate has no CRL, and is refused"
PLACE = (
    "a certificate that names no distribution point is covered by the CRL that is here, wherever that is published"
)
DIFFERENCES = {
    "InvaliddeltaCRLTest4EE": DELTA,
    "InvaliddistributionPointTest9EE": PLACE,
    "OverlappingPoliciesTest6EE": AUTHORITY,
    **{f"ValidcRLIssuerTest{number}EE": INDIRECT for number in (28, 29, 30, 33)},
    **{f"ValidIDPwithindirectCRLTest{number}EE": INDIRECT for number in (22, 24, 25)},
    **{f"ValidonlySomeReasonsTest{number}EE": SOME_REASONS for number in (18, 19)},
    "ValiddeltaCRLTest5EE": DELTA,
    "ValidonlyContainsCACertsTest13EE": AUTHORITY,
    "ValidpathLenConstraintTest8EE": AUTHORITY,
    "ValidpathLenConstraintTest14EE": AUTHORITY,
    "ValidDSAParameterInheritanceTest5EE": DSA,
    "ValidDSASignaturesTest4EE": DSA,
    "ValidGeneralizedTimenotBeforeDateTest4EE": "the library takes UTCTime alone for dates before 2050 (4.1.2.5)",
    "ValidNameChainingCapitalizationTest5EE": NAMES,
    "ValidNameChainingWhitespaceTest3EE": NAMES,
    "ValidNameChainingWhitespaceTest4EE": NAMES,
    "ValidRolloverfromPrintableStringtoUTF8StringTest10EE": NAMES,
    "ValidUTF8StringCaseInsensitiveMatchTest11EE": NAMES,
}
"""Certificates whose outcome here differs from that of the suite, and why."""


@pytest.fixture(scope="module")
def identifier(tmp_path_factory: pytest.TempPathFactory) -> Identifier:
    known = []
    for path in sorted((PKITS_FOLDER / "certs").glob("*Cert.crt")):
        try:
            known.append(parse_certificate(path.read_bytes()))
        except MalformedCertificateError:
            assert path.stem in {"DSAParametersInheritedCACert", "BadSignedCACert"}
    root = parse_certificate((PKITS_FOLDER / "certs" / "TrustAnchorRootCertificate.crt").read_bytes())
    crls = [(path, path.name) for path in sorted((PKITS_FOLDER / "crls").glob("*.crl"))]
    lists = load_revocation_lists(crls, RevocationLists())
    trust = make_trust((TrustAnchor(root, "root.pem"),), tuple(known), lists)
    policy = Policy((), make_classes({}, (), ()), frozenset())
    with closing(SqliteStore(tmp_path_factory.mktemp("pkits") / "state.db")) as state:
        return Identifier(trust, policy, _Nobody(state))


class _Nobody(SqliteStore):
    """The state of an installation that has issued nothing: PKITS is about other CAs."""

    def __init__(self, _: SqliteStore) -> None:
        pass

    def version(self) -> int:
        return 0

    def revocation_of(self, issuer_sha256: str, serial_number: str) -> None:
        return None

    def revocation_of_pin(self, spki_sha256: str) -> None:
        return None

    def pinned_user(self, spki_sha256: str) -> None:
        return None

    def is_issued(self, issuer_sha256: str, serial_number: str) -> bool:
        return False


def is_valid(name: str) -> bool:
    return not name.startswith("Invalid") and name not in INVALID_BY_THEIR_TEXT


def identify(identifier: Identifier, name: str) -> Identity:
    return identifier.identify(PeerCertificate((PKITS_FOLDER / "certs" / f"{name}.crt").read_bytes()), AT)


def test_the_suite_is_complete() -> None:
    assert len(TESTS) == 223


@pytest.mark.parametrize("name", TESTS)
def test_a_certificate_of_the_suite_has_the_outcome_that_the_suite_defines(name: str, identifier: Identifier) -> None:
    found = identify(identifier, name)
    is_accepted = isinstance(found, Guest)
    if name in DIFFERENCES:
        assert is_accepted is not is_valid(name), "the difference is gone: take it off the list"
        # A differing outcome is a refusal, except for two questions about which CRL decides.
        assert isinstance(found, Refusal) or DIFFERENCES[name] in {DELTA, PLACE}
    else:
        assert is_accepted is is_valid(name), getattr(found, "problem", found)
