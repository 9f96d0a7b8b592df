"""Name constraints (RFC 5280 section 4.2.1.10): which names of each form a CA may vouch for."""

import ipaddress

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from support.certificates import Recipe, ca_extensions, make_ca, name
from telnetsd.pki.name_constraints import (
    NameNotPermittedError,
    UnsupportedConstraintError,
    read_constraints,
)

CA = make_ca()


def uri(value: str) -> x509.GeneralName:
    return x509.UniformResourceIdentifier(value)


def organisation(*values: str) -> x509.GeneralName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in values]))


def mail(value: str) -> x509.GeneralName:
    return x509.RFC822Name(value)


def dns(value: str) -> x509.GeneralName:
    return x509.DNSName(value)


def address(value: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_network(value) if "/" in value else ipaddress.ip_address(value))


def holds(
    names: list[x509.GeneralName],
    *,
    permitted: list[x509.GeneralName] | None = None,
    excluded: list[x509.GeneralName] | None = None,
    subject: x509.Name | None = None,
) -> bool:
    """Tell whether a CA with these constraints may vouch for a certificate with these names."""
    constraints = x509.NameConstraints(permitted, excluded)
    authority = make_ca(extensions=[*ca_extensions(), (constraints, True)])
    extensions = [*Recipe().extensions, *([(x509.SubjectAlternativeName(names), False)] if names else [])]
    leaf = Recipe(subject=subject or name("alice"), extensions=extensions).signed_by(authority)
    found = read_constraints(authority.certificate)
    assert found is not None
    try:
        found.check(leaf.certificate)
    except NameNotPermittedError:
        return False
    return True


@pytest.mark.parametrize(
    ("one", "base", "is_within"),
    [
        (dns("a.example.com"), dns("example.com"), True),
        (dns("example.com"), dns("example.com"), True),
        (dns("EXAMPLE.com."), dns("example.com"), True),
        (dns("badexample.com"), dns("example.com"), False),
        (dns("example.com"), dns(".example.com"), False),
        (mail("a@example.com"), mail("example.com"), True),
        (mail("a@host.example.com"), mail("example.com"), False),
        (mail("a@host.example.com"), mail(".example.com"), True),
        (mail("a@EXAMPLE.com"), mail("a@example.com"), True),
        (mail("A@example.com"), mail("a@example.com"), False),
        (address("192.0.2.7"), address("192.0.2.0/24"), True),
        (address("198.51.100.7"), address("192.0.2.0/24"), False),
        (address("2001:db8::1"), address("192.0.2.0/24"), False),
        (uri("https://a.example/x"), uri("a.example"), True),
        (uri("https://a.example./x"), uri("a.example"), True),
        (uri("https://b.a.example/x"), uri("a.example"), False),
        (uri("https://b.a.example/x"), uri(".a.example"), True),
        (organisation("Evil", "Sub"), organisation("Evil"), True),
        (organisation("EVIL"), organisation("evil"), True),
        (organisation("Ev\u00adil"), organisation("Evil"), True),
        (organisation("Other"), organisation("Evil"), False),
    ],
)
def test_a_name_within_a_base_is_permitted_or_excluded_by_it(
    one: x509.GeneralName, base: x509.GeneralName, is_within: bool
) -> None:
    # The subject is a directory name as well: if permitted directory names are listed, it has to be among them.
    subject = one.value if isinstance(one, x509.DirectoryName) else None
    assert holds([one], permitted=[base], subject=subject) is is_within
    assert holds([one], excluded=[base]) is not is_within


@pytest.mark.parametrize(
    "value",
    [
        "urn:alice",
        "https://10.0.0.1/alice",
        "https:evil.example/alice",
        "https://evi%6c.example/",
        "http://[/x",
        "https://[::1]/x",
        "",
    ],
)
def test_a_uri_without_a_host_name_is_refused_where_uris_are_constrained(value: str) -> None:
    assert not holds([uri(value)], excluded=[uri("evil.example")])
    assert not holds([uri(value)], permitted=[uri(".example")])
    assert holds([uri(value)], excluded=[dns("evil.example")])


def test_an_email_address_in_the_subject_is_constrained_as_well() -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@evil.example")])
    assert not holds([], excluded=[mail("evil.example")], subject=subject)
    assert not holds([], permitted=[mail("good.example")], subject=subject)
    assert holds([], permitted=[mail("evil.example")], subject=subject)


def test_a_wildcard_that_covers_an_excluded_name_is_refused() -> None:
    assert not holds([dns("*.example.com")], excluded=[dns("secret.example.com")])
    assert holds([dns("*.example.org")], excluded=[dns("secret.example.com")])


def test_an_email_address_without_a_host_is_within_no_base() -> None:
    assert not holds([mail("postmaster")], permitted=[mail("example.com")])
    assert holds([mail("postmaster")], excluded=[mail("example.com")])


def test_more_comparisons_than_the_maximum_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The subject is one of the names.
    names, bases = [dns(f"{number}.example.com") for number in range(4)], [dns("example.com"), dns("example.org")]
    monkeypatch.setattr("telnetsd.pki.name_constraints.COMPARISONS_MAX", 10)
    assert holds(names, permitted=bases)
    monkeypatch.setattr("telnetsd.pki.name_constraints.COMPARISONS_MAX", 9)
    assert not holds(names, permitted=bases)


@pytest.mark.parametrize("is_critical", [True, False])
def test_a_constraint_of_an_unsupported_form_is_refused_whether_critical_or_not(is_critical: bool) -> None:
    constraints = x509.NameConstraints([x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))], None)
    authority = make_ca(extensions=[*ca_extensions(), (constraints, is_critical)])
    with pytest.raises(UnsupportedConstraintError, match="RegisteredID"):
        read_constraints(authority.certificate)
