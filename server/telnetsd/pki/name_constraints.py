"""Name constraints (RFC 5280 sections 4.2.1.10 and 6.1.3 (b) and (c)): which names a CA may vouch for.

Evaluated are directory names, DNS names, e-mail addresses, IP addresses and URIs. A constraint of any other form is
not evaluated, so that a path with one is refused, critical or not.
"""

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from telnetsd.pki.certificate import extension_of
from telnetsd.pki.names import name_key

_Matches = Callable[[x509.GeneralName, x509.GeneralName], bool]
COMPARISONS_MAX: Final = 20_000
"""How many comparisons one certificate may cost: each of its names is held against each constraint."""
_WILDCARD: Final = "*."


class NameNotPermittedError(ValueError):
    """A name is outside of what a CA may vouch for; the message says which, and by which constraint."""


class UnsupportedConstraintError(ValueError):
    """A CA is constrained in a form of name that is not evaluated here; the message says which."""


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """The constraints of one CA, as they are evaluated."""

    permitted: tuple[x509.GeneralName, ...]
    excluded: tuple[x509.GeneralName, ...]

    def check(self, certificate: x509.Certificate) -> None:
        """Hold every name of a certificate below the CA against the constraints.

        Raises:
            NameNotPermittedError: One is not permitted, or is excluded; or there are too many to be compared.
        """
        names = list(_names_of(certificate))
        if len(names) * (len(self.permitted) + len(self.excluded)) > COMPARISONS_MAX:
            raise NameNotPermittedError(f"{len(names)} names are too many to be held against its name constraints")
        for one in names:
            same_form = [base for base in self.permitted if type(base) is type(one)]
            if same_form and not any(_is_within(one, base) for base in same_form):
                raise NameNotPermittedError(f"{_shown(one)} is not among the names that it may vouch for")
            excluding = [base for base in self.excluded if type(base) is type(one)]
            if any(_is_within(one, base) or _may_reach_into(one, base) for base in excluding):
                raise NameNotPermittedError(f"{_shown(one)} is among the names that it must not vouch for")


def read_constraints(authority: x509.Certificate) -> NameConstraints | None:
    """Return the constraints of a CA; None where it has none.

    Raises:
        UnsupportedConstraintError: One is of a form that is not evaluated.
    """
    found = extension_of(authority, x509.NameConstraints)
    if found is None:
        return None
    constraints = NameConstraints(tuple(found.permitted_subtrees or ()), tuple(found.excluded_subtrees or ()))
    for base in (*constraints.permitted, *constraints.excluded):
        if type(base) not in _MATCHES:
            raise UnsupportedConstraintError(f"its name constraints have the form {type(base).__name__}")
    return constraints


def _names_of(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    subject = certificate.subject
    if subject.rdns:
        yield x509.DirectoryName(subject)
    # RFC 5280 4.2.1.10: a constraint on e-mail addresses applies to emailAddress in the subject as well.
    for attribute in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        yield x509.RFC822Name._init_without_validation(str(attribute.value))  # noqa: SLF001 -- a peer's own text
    yield from extension_of(certificate, x509.SubjectAlternativeName) or ()


def _is_within(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    matches = _MATCHES.get(type(name))
    return matches is not None and matches(name, base)


def _may_reach_into(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    """Tell whether a name with a wildcard covers names that are excluded."""
    match name, base:
        case x509.DNSName(value=value), x509.DNSName(value=excluded) if value.startswith(_WILDCARD):
            return _is_host_within(excluded.lstrip("."), value.removeprefix(_WILDCARD))
    return False


def _is_directory_name_within(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    if not isinstance(name, x509.DirectoryName) or not isinstance(base, x509.DirectoryName):
        return False
    wanted = name_key(base.value)
    return name_key(name.value)[: len(wanted)] == wanted


def _is_dns_name_within(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    if not isinstance(name, x509.DNSName) or not isinstance(base, x509.DNSName):
        return False
    return not base.value or _is_host_within(name.value, base.value)


def _is_mailbox_within(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    """Compare an e-mail address with an address, a host (its own addresses alone), or a domain (`.example.com`)."""
    if not isinstance(name, x509.RFC822Name) or not isinstance(base, x509.RFC822Name):
        return False
    local, at, host = name.value.rpartition("@")
    wanted_local, wanted_at, wanted_host = base.value.rpartition("@")
    if not at:
        return False
    if wanted_at:
        return local == wanted_local and host.lower() == wanted_host.lower()
    return _is_named_host_within(host, base.value)


def _is_address_within(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    if not isinstance(name, x509.IPAddress) or not isinstance(base, x509.IPAddress):
        return False
    match name.value, base.value:
        case ipaddress.IPv4Address() as address, ipaddress.IPv4Network() as network:
            return address in network
        case ipaddress.IPv6Address() as address, ipaddress.IPv6Network() as network:
            return address in network
    return False


def _is_uri_within(name: x509.GeneralName, base: x509.GeneralName) -> bool:
    """Compare the host of a URI; one without a host name is within nothing (RFC 5280 section 4.2.1.10)."""
    if not isinstance(name, x509.UniformResourceIdentifier) or not isinstance(base, x509.UniformResourceIdentifier):
        return False
    try:
        host = urlsplit(name.value).hostname or ""
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host) and _is_named_host_within(host, base.value)
    return False


def _is_named_host_within(host: str, base: str) -> bool:
    """Tell whether a host is the one that is named, or, where a period begins the constraint, is below it."""
    host, base = host.lower(), base.lower()
    return host.endswith(base) and len(host) > len(base) if base.startswith(".") else host == base


def _is_host_within(host: str, base: str) -> bool:
    """Tell whether a DNS name is a domain or below it; where a period begins it, below it alone."""
    host, base = host.lower().removesuffix("."), base.lower().removesuffix(".")
    if base.startswith("."):
        return host.endswith(base) and len(host) > len(base)
    return host == base or host.endswith(f".{base}")


def _shown(name: x509.GeneralName) -> str:
    value = name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else str(name.value)
    return f"{type(name).__name__} {value}"


_MATCHES: Final[dict[type, _Matches]] = {
    x509.DirectoryName: _is_directory_name_within,
    x509.DNSName: _is_dns_name_within,
    x509.RFC822Name: _is_mailbox_within,
    x509.IPAddress: _is_address_within,
    x509.UniformResourceIdentifier: _is_uri_within,
}
