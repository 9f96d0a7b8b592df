"""The verdict of the `cryptography` library's verifier on a path that is valid by our own rules: both must agree.

The verifier checks every path that uses only features that it supports. It does not support policy constraints,
inhibitAnyPolicy, policy mappings, some forms of name constraints, and self-issued intermediates. A path with one of
them depends on `path_rules` and `policies` alone. The public path validation suite (PKITS) is run against these.
"""

from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from cryptography.x509.verification import Criticality, ExtensionPolicy

from telnetsd.pki.certificate import PRESENTED_MAX, extension_of, is_self_issued
from telnetsd.pki.chains import Chain
from telnetsd.pki.policies import POLICY_MAPPINGS

_BEYOND_IT: Final = frozenset({ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.INHIBIT_ANY_POLICY, POLICY_MAPPINGS})
_NAMES_IT_KNOWS: Final = (x509.DNSName, x509.IPAddress, x509.RFC822Name)


def library_objection(chain: Chain, at: datetime) -> str:
    """Return the library's message if it refuses a chain; empty if it agrees or was not asked."""
    if not _is_within_its_reach(chain):
        return ""
    leaf, *intermediates, anchor = chain
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([anchor]))
        .time(at)
        .max_chain_depth(PRESENTED_MAX)
        .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
        .build_client_verifier()
    )
    try:
        verifier.verify(leaf, intermediates)
    except verification.VerificationError as error:
        return " ".join(str(error).split())
    return ""


def _is_within_its_reach(chain: Chain) -> bool:
    if any(map(is_self_issued, chain[1:-1])):
        return False
    for one in chain:
        if any(extension.oid in _BEYOND_IT for extension in one.extensions):
            return False
        constraints = extension_of(one, x509.NameConstraints)
        subtrees = (
            (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())) if constraints else ()
        )
        if not all(isinstance(subtree, _NAMES_IT_KNOWS) for subtree in subtrees):
            return False
    return True


def _check_key_usage(_: verification.Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    # RFC 5280 4.2.1.3: with keyUsage present, the bit for the use at hand must be set.
    if usage is not None and not usage.digital_signature:
        raise ValueError("keyUsage without digitalSignature")


def _check_extended_key_usage(
    _: verification.Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    # RFC 5280 4.2.1.12: no EKU, no restriction; with an EKU the purpose must be named.
    if usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise ValueError("extendedKeyUsage without clientAuth")


def _check_basic_constraints(
    _: verification.Policy, __: x509.Certificate, constraints: x509.BasicConstraints | None
) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("a CA certificate is never a user")


def _check_ca_key_usage(_: verification.Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("keyUsage without keyCertSign")


def _permit(_: verification.Policy, __: x509.Certificate, ___: x509.ExtensionType | None) -> None:
    """Allow an extension to be present: it is checked elsewhere."""


# permit_all() accepts a leaf without a subjectAltName, and still refuses critical extensions that are not handled
# (RFC 5280 section 4.2). The callbacks refuse what a certificate must not say.
_LEAF_POLICY: Final = (
    ExtensionPolicy.permit_all()
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_key_usage)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _check_extended_key_usage)
    .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _check_basic_constraints)
    .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, _permit)
    .may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, _permit)
    .may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, _permit)
)
_CA_POLICY: Final = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _permit)  # the library requires cA itself
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _check_ca_key_usage)
    .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _permit)
    .may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, _permit)
    .may_be_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, _permit)
    .may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, _permit)
)
