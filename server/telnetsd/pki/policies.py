"""Certificate policies along a path (RFC 5280 section 6.1.3 (d)): what a leaf asserts, and may assert.

A policy of the leaf counts only when every certificate between it and the trust anchor asserts it as well, or
asserts anyPolicy. Policy mappings, policyConstraints and inhibitAnyPolicy are not followed: below one of them,
nothing is asserted.
"""

from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

ANY_POLICY: Final = "2.5.29.32.0"
_POLICY_MAPPINGS: Final = x509.ObjectIdentifier("2.5.29.33")
_NOT_FOLLOWED: Final = {_POLICY_MAPPINGS, ExtensionOID.POLICY_CONSTRAINTS, ExtensionOID.INHIBIT_ANY_POLICY}


def asserted_policies(path: tuple[x509.Certificate, ...]) -> frozenset[str]:
    """Return the policy OIDs that a validated path (leaf first, trust anchor last) asserts of its leaf."""
    leaf, *intermediates, _ = path
    policies = _policies_of(leaf) - {ANY_POLICY}
    for certificate in intermediates:
        allowed = _policies_of(certificate)
        if any(one.oid in _NOT_FOLLOWED for one in certificate.extensions):
            return frozenset()
        if ANY_POLICY not in allowed:
            policies &= allowed
    return policies


def _policies_of(certificate: x509.Certificate) -> frozenset[str]:
    try:
        policies = certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(one.policy_identifier.dotted_string for one in policies)
