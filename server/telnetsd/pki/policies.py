"""Certificate policies along a path (RFC 5280 section 6.1): which it asserts, and whether it must assert one.

The policies that are valid at each certificate are kept as a graph and not as a tree. So no chain of mappings makes
it grow beyond the policies that each certificate lists (RFC 9618). The server accepts every policy
(`user-initial-policy-set` is anyPolicy). It looks up assurance classes by the policies that a path asserts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import ExtensionOID

from telnetsd.pki.certificate import extension_of, is_self_issued
from telnetsd.pki.der import SEQUENCE, encode

ANY_POLICY: Final = "2.5.29.32.0"
POLICY_MAPPINGS: Final = x509.ObjectIdentifier("2.5.29.33")
POLICIES_MAX: Final = 100
"""The maximum number of policies, and of mappings, that one certificate may list."""
PROCESSED: Final = frozenset(
    {
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        POLICY_MAPPINGS,
    }
)
"""The extensions that are processed here."""


class PolicyError(ValueError):
    """The policies of a path do not allow it; the message says why, and `.certificate` says where."""

    def __init__(self, certificate: x509.Certificate, message: str) -> None:
        super().__init__(message)
        self.certificate = certificate


@asn1.sequence
class _Mapping:
    issuer_domain_policy: x509.ObjectIdentifier
    subject_domain_policy: x509.ObjectIdentifier


@asn1.sequence
class _Mappings:
    """PolicyMappings is a SEQUENCE OF; the decoder does not accept that type, so another SEQUENCE encloses it."""

    mappings: list[_Mapping]


@dataclass(eq=False, slots=True)
class _Node:
    """A policy that is valid at one certificate, and the policies of the certificate above that make it valid."""

    policy: str
    expected: set[str]
    parents: list["_Node"]
    has_child: bool = False


_Level = dict[str, _Node]


@dataclass(slots=True)
class _State:
    """The processing state: the levels of the graph (none: no policy is valid), and the distance to each demand."""

    levels: list[_Level]
    explicit_policy: int
    policy_mapping: int
    inhibit_any_policy: int


def asserted_policies(path: Sequence[x509.Certificate]) -> frozenset[str]:
    """Process the policies of a path, and return those that it asserts, as the trust anchor calls them.

    Args:
        path: The leaf first, the trust anchor last. The anchor's own policies are ignored; its constraints are not.
    Raises:
        PolicyError: The path must assert a policy and asserts none, or a certificate maps from or to anyPolicy.
    """
    *below, anchor = path
    beyond = len(below) + 1
    state = _State([{ANY_POLICY: _Node(ANY_POLICY, {ANY_POLICY}, [])}], beyond, beyond, beyond)
    _constrain(state, anchor)
    for certificate in reversed(below[1:]):
        _descend(state, certificate, is_last=False)
        _prepare_next(state, certificate)
    leaf = below[0]
    _descend(state, leaf, is_last=True)
    state.explicit_policy = max(0, state.explicit_policy - 1)
    if _demands_explicit_policy_at_once(leaf):
        state.explicit_policy = 0
    _require_policy(state, leaf)
    return frozenset(_of_the_anchors_domain(state.levels))


def _descend(state: _State, certificate: x509.Certificate, *, is_last: bool) -> None:
    """Process the policies that a certificate lists (RFC 5280 section 6.1.3 (d) to (f))."""
    policies = _policies_of(certificate)
    if state.levels:
        above = state.levels[-1]
        level: _Level = {}
        for policy in sorted(policies - {ANY_POLICY}):
            parents = [node for node in above.values() if policy in node.expected]
            if not parents and ANY_POLICY in above:
                parents = [above[ANY_POLICY]]
            if parents:
                level[policy] = _Node(policy, {policy}, parents)
        if ANY_POLICY in policies and (state.inhibit_any_policy > 0 or (not is_last and is_self_issued(certificate))):
            _add_what_any_policy_stands_for(level, above)
        state.levels = _pruned([*state.levels, level])
    _require_policy(state, certificate)


def _add_what_any_policy_stands_for(level: _Level, above: _Level) -> None:
    listed = set(level)
    for node in above.values():
        for policy in node.expected - listed:
            level.setdefault(policy, _Node(policy, {policy}, [])).parents.append(node)


def _prepare_next(state: _State, certificate: x509.Certificate) -> None:
    """Prepare for the certificate below a CA's certificate (RFC 5280 section 6.1.4 (a), (b), (h) to (j))."""
    _map(state, _mappings_of(certificate))
    if not is_self_issued(certificate):
        state.explicit_policy = max(0, state.explicit_policy - 1)
        state.policy_mapping = max(0, state.policy_mapping - 1)
        state.inhibit_any_policy = max(0, state.inhibit_any_policy - 1)
    _constrain(state, certificate)


def _map(state: _State, mappings: dict[str, set[str]]) -> None:
    if not state.levels or not mappings:
        return
    level = state.levels[-1]
    for issuer_domain, subject_domain in mappings.items():
        if state.policy_mapping == 0:
            level.pop(issuer_domain, None)
        elif issuer_domain in level:
            level[issuer_domain].expected = subject_domain
        elif ANY_POLICY in level:
            level[issuer_domain] = _Node(issuer_domain, subject_domain, list(level[ANY_POLICY].parents))
    state.levels = _pruned(state.levels)


def _constrain(state: _State, certificate: x509.Certificate) -> None:
    constraints = extension_of(certificate, x509.PolicyConstraints)
    if constraints is not None and constraints.require_explicit_policy is not None:
        state.explicit_policy = min(state.explicit_policy, constraints.require_explicit_policy)
    if constraints is not None and constraints.inhibit_policy_mapping is not None:
        state.policy_mapping = min(state.policy_mapping, constraints.inhibit_policy_mapping)
    inhibited = extension_of(certificate, x509.InhibitAnyPolicy)
    if inhibited is not None:
        state.inhibit_any_policy = min(state.inhibit_any_policy, inhibited.skip_certs)


def _demands_explicit_policy_at_once(leaf: x509.Certificate) -> bool:
    constraints = extension_of(leaf, x509.PolicyConstraints)
    return constraints is not None and constraints.require_explicit_policy == 0


def _require_policy(state: _State, certificate: x509.Certificate) -> None:
    if state.explicit_policy == 0 and not state.levels:
        raise PolicyError(certificate, "the path must assert a certificate policy, and asserts none")


def _pruned(levels: list[_Level]) -> list[_Level]:
    """Remove nodes without children, from the last level but one upwards; an empty graph has no levels."""
    for depth in range(len(levels) - 1, 0, -1):
        above = levels[depth - 1]
        for node in above.values():
            node.has_child = False
        for node in levels[depth].values():
            for parent in node.parents:
                parent.has_child = True
        levels[depth - 1] = {policy: node for policy, node in above.items() if node.has_child}
    return levels if levels[-1] else []


def _of_the_anchors_domain(levels: Iterable[_Level]) -> Iterable[str]:
    """Yield the policies whose parent is anyPolicy: what the path asserts, in its trust anchor's terms."""
    for level in levels:
        for node in level.values():
            if node.policy != ANY_POLICY and any(parent.policy == ANY_POLICY for parent in node.parents):
                yield node.policy


def _policies_of(certificate: x509.Certificate) -> frozenset[str]:
    policies = extension_of(certificate, x509.CertificatePolicies)
    found = frozenset(one.policy_identifier.dotted_string for one in policies or ())
    if len(found) > POLICIES_MAX:
        raise PolicyError(certificate, f"more than {POLICIES_MAX} certificate policies are listed")
    return found


def _mappings_of(certificate: x509.Certificate) -> dict[str, set[str]]:
    try:
        extension = certificate.extensions.get_extension_for_oid(POLICY_MAPPINGS).value
    except x509.ExtensionNotFound:
        return {}
    mappings = _decode_mappings(certificate, extension)
    found: dict[str, set[str]] = {}
    for one in mappings:
        issuer, subject = one.issuer_domain_policy.dotted_string, one.subject_domain_policy.dotted_string
        if ANY_POLICY in {issuer, subject}:
            raise PolicyError(certificate, "a policy is mapped from or to anyPolicy")
        found.setdefault(issuer, set()).add(subject)
    return found


def _decode_mappings(certificate: x509.Certificate, extension: x509.ExtensionType) -> list[_Mapping]:
    if not isinstance(extension, x509.UnrecognizedExtension):  # pragma: no cover -- a later library may read them
        raise PolicyError(certificate, "its policy mappings cannot be read")
    try:
        mappings = asn1.decode_der(_Mappings, encode(SEQUENCE, extension.value)).mappings
    except (ValueError, TypeError) as error:
        raise PolicyError(certificate, "its policy mappings cannot be read") from error
    if len(mappings) > POLICIES_MAX:
        raise PolicyError(certificate, f"more than {POLICIES_MAX} policies are mapped")
    return mappings
