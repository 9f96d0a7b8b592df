"""Assurance classes: how far each identity was investigated, on the screen, in the log, and in its permissions."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from support.certificates import Pair, Recipe, ca_extensions, make_ca, name, now
from support.client import Client, connect_as
from support.command_line import done, refused
from support.homes import add, fingerprint, write_pem
from support.server import RunningServer, action_of, get

pytestmark = pytest.mark.unmeasured

OID = "1.3.6.1.4.1.99999.1.{}"
CLASSES = """
[classes.2]
oid = "1.3.6.1.4.1.99999.1.2"
name = "in person"
checked = "a photo ID was shown"
[classes.3]
oid = "1.3.6.1.4.1.99999.1.3"
name = "notarised"
checked = "a notary wrote it down"
[roles.operator]
min_class = 2
[commands.echo]
min_class = 3
"""
COMPANY = make_ca("Company CA")


def policies(*numbers: int | str) -> tuple[x509.ExtensionType, bool]:
    oids = (number if isinstance(number, str) else OID.format(number) for number in numbers)
    return x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(one), None) for one in oids]), False


def test_a_class_is_shown_and_logged_and_decides_which_roles_and_commands_apply(
    start: Callable[..., RunningServer],
) -> None:
    server = start(CLASSES)
    home = server.home
    done(home, "user", "add", "carol", "--role", "operator", "--class", "2")
    assert "class        2" in done(home, "user", "show", "carol")
    with connect_as(server, "carol") as client:
        assert "you are carol (operator; class 2)" in client.read_until()
        assert "class        2 (in person: a photo ID was shown)" in client.command("whoami")
        assert "no session" in client.command("kick 12345678")
        assert "`echo` requires class 3; you have class 2: ask the operator" in client.command("echo x")
        assert get(server.session_from(client.port), "telnetsd.identity.class") == 2
    with connect_as(server, "alice") as client:
        assert "you are alice (operator; class 1)" in client.read_until()
        assert "permission denied: `kick` requires class 2; you have class 1" in client.command("kick 12345678")
        assert "kick" not in client.command("help")
        denied = server.session_from(client.port, "command-denied")
        assert (denied["event"]["reason"], denied["event"]["outcome"]) == ("class-too-low", "failure")
    with connect_as(server, "bob") as client:
        client.read_until()
        assert "`echo` requires class 3" in client.command("echo x")
    assert "no class 4: define [classes.4]" in refused(home, "user", "add", "dan", "--class", "4")
    done(home, "user", "renew", "carol", "--new-key")
    with connect_as(server, "carol") as client:
        assert "class 2" in client.read_until(), "a renewed certificate is of the class of the last one"


def company_class(
    start: Callable[..., RunningServer], tmp_path: Path, leaf: Pair, anchor: str, *chain: Pair
) -> tuple[int, str]:
    """Return the class of a certificate of the company's CA, and the text that its client reads."""
    of_company = f'fingerprint = "{fingerprint(COMPANY)}"\n'
    entry = f'[[cert_to_name]]\nid = "c"\n{of_company}map_type = "common-name"\nroles = ["user"]\n'
    trusted = f"[[trust_anchor]]\n{of_company}{anchor}\n"
    server = start(f'[identity]\ncrl_policy = "prefer"\n{CLASSES}{trusted}{entry}')
    write_pem(server.home.trust_folder / "company.pem", COMPANY)
    done(server.home, "reload")
    leaf.chain = [one.certificate for one in chain]
    with Client(server.port, server.home.ca_certificate, leaf.save(tmp_path, "leaf")) as client:
        said = client.read_until(b"dora> ")
        return get(server.session_from(client.port), "telnetsd.identity.class"), said


def dora(issuer: Pair, *extensions: tuple[x509.ExtensionType, bool]) -> Pair:
    return Recipe(subject=name("dora"), extensions=[*Recipe().extensions, *extensions]).signed_by(issuer)


def intermediate(*extensions: tuple[x509.ExtensionType, bool]) -> Pair:
    recipe = Recipe(
        subject=name("Sub"), not_after=now().replace(year=2030), extensions=[*ca_extensions(0), *extensions]
    )
    return recipe.signed_by(COMPANY)


def test_a_certificate_has_the_class_configured_for_its_trust_anchor(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    assert company_class(start, tmp_path, dora(COMPANY), "class = 2")[0] == 2


def test_a_class_counts_up_to_the_maximum_of_the_trust_anchor(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    assert company_class(start, tmp_path, dora(COMPANY, policies(3, 2)), "max_class = 2")[0] == 2


def test_a_class_counts_through_an_intermediate_that_asserts_it_or_any_policy(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    sub = intermediate(policies("2.5.29.32.0"))
    assert company_class(start, tmp_path, dora(sub, policies(3)), "max_class = 3", sub)[0] == 3


@pytest.mark.parametrize("extensions", [[], [policies(2)]], ids=["none", "another"])
def test_a_class_does_not_count_through_an_intermediate_that_does_not_assert_it(
    extensions: list[tuple[x509.ExtensionType, bool]], start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    sub = intermediate(*extensions)
    assert company_class(start, tmp_path, dora(sub, policies(3)), "max_class = 3", sub)[0] == 0


def test_any_policy_in_a_users_certificate_grants_no_class(
    start: Callable[..., RunningServer], tmp_path: Path
) -> None:
    leaf = dora(COMPANY, policies("2.5.29.32.0"))
    assert company_class(start, tmp_path, leaf, "max_class = 3")[0] == 0


def test_guest_events_have_no_class(start: Callable[..., RunningServer]) -> None:
    server = start(CLASSES)
    add(server.home, "dan")
    with connect_as(server) as client:
        client.read_until()
        assert "class" not in server.session_from(client.port)["telnetsd"]["identity"]
    assert [action_of(one) for one in server.events() if action_of(one) == "server-started"]
