"""Name constraints (RFC 5280 sections 4.2.1.10 and 6.1.3 (b) and (c)): which names a CA may vouch for.

The server evaluates directory names, DNS names, e-mail addresses, IP addresses and URIs. It does not evaluate a
constraint of any other form, so it refuses a path with one, critical or not.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from telnetsd.pki.certificate import extension_of
from telnetsd.pki.names import NameKey, name_key

COMPARISONS_MAX: Final = 5_000
"""The maximum number of comparisons for one certificate: each of its names is compared with each constraint."""
_WILDCARD: Final = "*."


_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


def _as_it_is(value: Any) -> Any:  # noqa: ANN401 -- a value of any form
    return value


def _reaches_into_nothing(*_: Any) -> bool:  # noqa: ANN401
    return False


class NameNotPermittedError(ValueError):
    """A CA may not vouch for a name; the message says for which name, and because of which constraint."""


class UnsupportedConstraintError(ValueError):
    """A CA has a constraint on a form of name that is not evaluated here; the message says which form."""


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """The constraints of one CA, as they are evaluated."""

    permitted: tuple[x509.GeneralName, ...]
    excluded: tuple[x509.GeneralName, ...]

    def check(self, certificate: x509.Certificate) -> None:
        """Check every name of a certificate below the CA against the constraints.

        Raises:
            NameNotPermittedError: A name is not permitted, or is excluded; or there are too many names to compare.
        """
        names = list(_names_of(certificate))
        if len(names) * (len(self.permitted) + len(self.excluded)) > COMPARISONS_MAX:
            raise NameNotPermittedError(f"{len(names)} names are too many to check against its name constraints")
        permitted, excluded = _read_bases(self.permitted), _read_bases(self.excluded)
        for one in names:
            form = _FORMS.get(type(one))
            allowing, excluding = permitted.get(type(one)), excluded.get(type(one))
            if form is None or (allowing is None and excluding is None):
                continue
            name = form.read_name(one.value)
            if allowing is not None and not any(form.is_within(name, base) for base in allowing):
                raise NameNotPermittedError(f"{_shown(one)} is not among the names that it may vouch for")
            if any(form.is_within(name, base) or form.reaches_into(name, base) for base in excluding or ()):
                raise NameNotPermittedError(f"{_shown(one)} is among the names that it must not vouch for")


def _read_bases(bases: Iterable[x509.GeneralName]) -> dict[type, list[Any]]:
    """Return the constraints by form; each one is read once."""
    read: dict[type, list[Any]] = {}
    for base in bases:
        read.setdefault(type(base), []).append(_FORMS[type(base)].read_base(base.value))
    return read


def read_constraints(authority: x509.Certificate) -> NameConstraints | None:
    """Return the constraints of a CA; None if it has none.

    Raises:
        UnsupportedConstraintError: A constraint has a form that is not evaluated.
    """
    found = extension_of(authority, x509.NameConstraints)
    if found is None:
        return None
    constraints = NameConstraints(tuple(found.permitted_subtrees or ()), tuple(found.excluded_subtrees or ()))
    for base in (*constraints.permitted, *constraints.excluded):
        if type(base) not in _FORMS:
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


@dataclass(frozen=True, slots=True)
class _Form:
    """How names of one form are compared: each name and each constraint is read once and then compared."""

    is_within: Callable[[Any, Any], bool]
    read_name: Callable[[Any], Any] = _as_it_is
    read_base: Callable[[Any], Any] = _as_it_is
    reaches_into: Callable[[Any, Any], bool] = _reaches_into_nothing


def _is_directory_name_within(name: NameKey, base: NameKey) -> bool:
    return name[: len(base)] == base


def _is_dns_name_within(name: str, base: str) -> bool:
    return not base or _is_host_within(name, base)


def _may_reach_into(name: str, base: str) -> bool:
    """Tell whether a DNS name with a wildcard covers excluded names."""
    return name.startswith(_WILDCARD) and _is_host_within(base.lstrip("."), name.removeprefix(_WILDCARD))


def _is_mailbox_within(name: str, base: str) -> bool:
    """Compare an e-mail address with an address, a host (only its own addresses), or a domain (`.example.com`)."""
    local, at, host = name.rpartition("@")
    wanted_local, wanted_at, wanted_host = base.rpartition("@")
    if not at:
        return False
    if wanted_at:
        return local == wanted_local and host.lower() == wanted_host.lower()
    return _is_named_host_within(host, base)


def _is_address_within(name: _Address, base: _Network) -> bool:
    return name.version == base.version and name in base


def _read_uri(value: str) -> str:
    """Return the host of a URI.

    Raises:
        NameNotPermittedError: The URI has no host name; where URIs are constrained, it must not be accepted (RFC 5280
            section 4.2.1.10).
    """
    try:
        host = (urlsplit(value).hostname or "").lower().removesuffix(".")
    except ValueError:
        host = ""
    is_number = host.rpartition(".")[2].isdecimal()
    if is_number or not _HOST.fullmatch(host):
        raise NameNotPermittedError(f"the URI {value} has no host name to check against its name constraints")
    return host


def _is_named_host_within(host: str, base: str) -> bool:
    """Tell whether a host is the one in the constraint or, if the constraint begins with a period, is below it."""
    host, base = host.lower().removesuffix("."), base.lower().removesuffix(".")
    return host.endswith(base) and len(host) > len(base) if base.startswith(".") else host == base


def _is_host_within(host: str, base: str) -> bool:
    """Tell whether a DNS name is the domain or below it; only below it, if the domain begins with a period."""
    host, base = host.lower().removesuffix("."), base.lower().removesuffix(".")
    if base.startswith("."):
        return host.endswith(base) and len(host) > len(base)
    return host == base or host.endswith(f".{base}")


def _shown(name: x509.GeneralName) -> str:
    value = name.value.rfc4514_string() if isinstance(name, x509.DirectoryName) else str(name.value)
    return f"{type(name).__name__} {value}"


_FORMS: Final[dict[type, _Form]] = {
    x509.DirectoryName: _Form(_is_directory_name_within, read_name=name_key, read_base=name_key),
    x509.DNSName: _Form(_is_dns_name_within, reaches_into=_may_reach_into),
    x509.RFC822Name: _Form(_is_mailbox_within),
    x509.IPAddress: _Form(_is_address_within),
    x509.UniformResourceIdentifier: _Form(_is_named_host_within, read_name=_read_uri),
}
