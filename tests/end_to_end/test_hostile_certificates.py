"""Certificates that an attacker might try: each over live TLS, with what the client reads and what the log says.

The server trusts its own CA and a company's. The company's entries map common names, e-mail addresses, URIs and UPNs;
`dora` is mapped, `alice` and `bob` are users of the built-in CA, `pia` is pinned.
"""

import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.certificates import (
    DAY,
    Pair,
    Recipe,
    ca_extensions,
    key_usage,
    make_ca,
    make_intermediate,
    name,
    now,
)
from support.client import Client
from support.der import (
    ECDSA_SHA1,
    ECDSA_SHA224,
    PLACEHOLDER_SERIAL,
    Presented,
    encode,
    other_signature,
    present,
    sign_again,
    with_serial,
)
from support.homes import add, built_in_ca, fingerprint, write_pem
from support.server import Event, RunningServer, action_of, get
from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.users.credentials import PinnedKey
from telnetsd.administration.users.users import NewUser, add_user
from telnetsd.events.reason import PathReason, RevocationReason
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.pki.path import PathError, validate_path
from telnetsd.pki.trust import TrustAnchor, make_trust

COMPANY = make_ca("Company CA")
OTHER = make_ca("Other Company CA")
STRANGER = make_ca("Stranger CA")
PINNED = make_ca("pia", extensions=ca_extensions()[:1])
"""Self-signed with CA:TRUE, as `openssl req -x509` makes them."""
TAKEN_BACK = Recipe(subject=name("rita")).self_signed()
EKU = x509.ExtendedKeyUsage
CLASS_OID = "1.3.6.1.4.1.99999.1.2"
UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
NOT_MAPPED = "no user is mapped to it"

CONFIGURATION = """
[identity]
crl_policy = "prefer"
[classes.2]
oid = "{oid}"
name = "in person"
checked = "a photo ID"
"""
ENTRY = """
[[cert_to_name]]
id = "{id}"
fingerprint = "{fingerprint}"
map_type = "{id}"
"""


Maker = Callable[["World"], Presented]


@dataclass(frozen=True)
class Case:
    """A certificate that is presented to a server, and the expected outcome: `user:NAME`, `guest` or `refused`."""

    make: Maker
    outcome: str
    reason: str
    said: str


@dataclass(frozen=True)
class World:
    """The server, and the keys and certificates that an attacker may have obtained."""

    server: RunningServer
    built_in: Pair


def copied_to(home: Home, root: Path) -> Home:
    shutil.copytree(home.root, root)
    return Home(root)


@pytest.fixture(scope="module")
def world(made_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    from telnetsd.administration.authority.revocation import RevocationTarget, revoke

    folder = tmp_path_factory.mktemp("world")
    home = copied_to(made_home, folder / "home")
    for index, ca in enumerate((COMPANY, OTHER)):
        write_pem(home.trust_folder / f"{index}.pem", ca)
    add_user(home, NewUser(User("dora", ("user",)), is_mapped=True), None, Grant())
    for user, pair in (("pia", PINNED), ("rita", TAKEN_BACK)):
        pem = write_pem(folder / "pin.pem", pair)
        add_user(home, NewUser(User(user, ("user",))), PinnedKey(str(pem)), Grant())
    revoke(home, RevocationTarget(("rita",)), RevocationReason.UNSPECIFIED, by_operator())
    add(home, "rolf")
    revoke(home, RevocationTarget(("rolf",)), RevocationReason.AFFILIATION_CHANGED, by_operator())
    lines = [CONFIGURATION.format(oid=CLASS_OID)]
    patterns = {
        "common-name": "",
        "san-rfc822-name": 'pattern = "{name}@example.com"\n',
        "san-uri": 'pattern = "spiffe://example.com/user/{name}"\n',
        "san-upn": 'pattern = "{name}@corp.example"\n',
        "subject": 'pattern = "CN={name},OU=Staff,O=Example"\n',
    }
    for kind, pattern in patterns.items():
        lines.append(ENTRY.format(id=kind, fingerprint=fingerprint(COMPANY)) + pattern)
    home.config_file.write_text("".join(lines))
    server = RunningServer(home)
    yield World(server, built_in_ca(home))
    assert server.stop() == "", "the server wrote to standard error"


# Makers.


def _with(*extensions: tuple[x509.ExtensionType, bool]) -> list[tuple[x509.ExtensionType, bool]]:
    """The extensions of a good leaf, where the given ones replace those of the same kind."""
    kinds = {type(one) for one, _ in extensions if not isinstance(one, x509.UnrecognizedExtension)}
    return [*((one, critical) for one, critical in Recipe().extensions if type(one) not in kinds), *extensions]


def _unknown(oid: str, critical: bool) -> tuple[x509.ExtensionType, bool]:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), b"\x05\x00"), critical


def ours(**recipe: object) -> Maker:
    """A leaf that the built-in CA has signed, outside of telnetsd."""
    return lambda world: present(Recipe(**recipe).signed_by(world.built_in))  # type: ignore[arg-type]


def company(*names: x509.GeneralName, subject: x509.Name | None = None, ca: Pair = COMPANY) -> Maker:
    """A leaf that the company's CA has signed."""
    extensions = _with((x509.SubjectAlternativeName(list(names)), False)) if names else Recipe().extensions
    recipe = Recipe(subject=subject or x509.Name([]), extensions=extensions)
    return lambda _: present(recipe.signed_by(ca))


def common_name(value: str, kind: _ASN1Type = _ASN1Type.UTF8String) -> Maker:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        attribute = x509.NameAttribute(NameOID.COMMON_NAME, value, kind, _validate=False)
    return company(subject=x509.Name([attribute]))


def serial(number: bytes) -> Maker:
    recipe = Recipe(serial_number=PLACEHOLDER_SERIAL)
    return lambda world: sign_again(recipe.signed_by(world.built_in), world.built_in.key, with_serial(number))


def signed_with(algorithm: bytes) -> Maker:
    return lambda world: sign_again(Recipe().signed_by(world.built_in), world.built_in.key, algorithm=algorithm)


def flipped(position: int) -> Maker:
    def make(world: World) -> Presented:
        good = present(Recipe(subject=name("bob")).signed_by(world.built_in))
        der = bytearray(good.der)
        der[position] ^= 1
        return Presented(bytes(der), good.key)

    return make


def without_version(world: World) -> Presented:
    """Version 1 is the default and has no extensions, so both fields are removed."""
    made = Recipe(extensions=[]).signed_by(world.built_in)
    return sign_again(made, world.built_in.key, lambda content: _strip(content[5:]))


def _strip(content: bytes) -> bytes:
    """Remove everything after SubjectPublicKeyInfo, which is the last value of a v1 certificate."""
    values, rest = [], content
    while rest:
        header = 2 if rest[1] < 0x80 else 2 + (rest[1] & 0x7F)
        length = rest[1] if rest[1] < 0x80 else int.from_bytes(rest[2:header], "big")
        if header + length > len(rest):
            break
        values.append(rest[: header + length])
        rest = rest[header + length :]
    return b"".join(values[:6])


def replaced(old: bytes, new: bytes) -> Maker:
    """A leaf with some bytes replaced, and signed in that form by the built-in CA."""
    assert len(old) == len(new)

    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, 1)

    return lambda world: sign_again(Recipe().signed_by(world.built_in), world.built_in.key, change)


def doubled_extension(world: World) -> Presented:
    """Two basicConstraints, the second of which makes it a CA."""
    one = bytes.fromhex("300c0603551d130101ff04023000")
    two = bytes.fromhex("300c0603551d250101ff04023000")
    recipe = Recipe(
        extensions=[
            Recipe().extensions[0],
            (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.37"), b"\x30\x00"), True),
        ]
    )

    def change(content: bytes) -> bytes:
        assert one in content
        assert two in content
        return content.replace(two, one)

    return sign_again(recipe.signed_by(world.built_in), world.built_in.key, change)


def below(**intermediate: object) -> Maker:
    """A leaf for dora below a defective intermediate of the company."""
    options = {
        "subject": name("Bad Intermediate"),
        "not_after": now() + DAY,
        "extensions": ca_extensions(0),
        **intermediate,
    }
    made = Recipe(**options).signed_by(COMPANY)  # type: ignore[arg-type]
    return lambda _: present(_dora(made), made)


def _dora(issuer: Pair) -> Pair:
    return Recipe(subject=name("dora")).signed_by(issuer)


def chain_of(length: int) -> Maker:
    def make(_: World) -> Presented:
        chain: list[Pair] = []
        issuer = COMPANY
        for number in range(length):
            issuer = make_intermediate(issuer, f"Intermediate {number}", path_length=None)
            chain.insert(0, issuer)
        return present(_dora(issuer), *chain)

    return make


def below_two(world: World) -> Presented:
    upper = make_intermediate(COMPANY, "Upper", path_length=0)
    lower = make_intermediate(upper, "Lower", path_length=0)
    return present(_dora(lower), lower, upper)


def below_with_weak_signature(_: World) -> Presented:
    good = make_intermediate(COMPANY, "SHA-1 Intermediate")
    weak = sign_again(good, COMPANY.key, algorithm=ECDSA_SHA1)
    dora = _dora(good)
    return Presented(dora.der, dora.key, [x509.load_der_x509_certificate(weak.der)])


def shuffled(world: World) -> Presented:
    upper = make_intermediate(COMPANY, "Upper", path_length=None)
    lower = make_intermediate(upper, "Lower")
    return present(_dora(lower), make_ca("Unrelated"), upper, lower)


def in_a_circle(world: World) -> Presented:
    """Two CAs that vouch for each other, and that no other CA vouches for."""
    first, second = (
        Recipe(subject=name("First"), extensions=ca_extensions()),
        Recipe(subject=name("Second"), extensions=ca_extensions()),
    )
    one = first.signed(name("Second"), second.key)
    other = second.signed(name("First"), first.key)
    return present(_dora(one), one, other)


def constrained(excluded: bool) -> Maker:
    names = [x509.RFC822Name("example.org")]
    constraints = (
        x509.NameConstraints(None, [x509.RFC822Name("example.com")])
        if excluded
        else x509.NameConstraints(names, None)
    )
    made = Recipe(
        subject=name("Constrained"), not_after=now() + DAY, extensions=[*ca_extensions(0), (constraints, True)]
    ).signed_by(COMPANY)
    address = x509.SubjectAlternativeName([x509.RFC822Name("dora@example.com")])
    return lambda _: present(Recipe(subject=x509.Name([]), extensions=_with((address, False))).signed_by(made), made)


def below_pin(world: World) -> Presented:
    """A pinned certificate that is a CA vouches for no certificate: neither for its own name nor for another one."""
    return present(Recipe(subject=name("pia")).signed_by(PINNED), PINNED)


def pinned(**recipe: object) -> Maker:
    """A self-signed certificate of the pinned key."""
    return lambda _: present(Recipe(subject=name("pia"), key=PINNED.key, **recipe).self_signed())  # type: ignore[arg-type]


def user_file(user: str) -> Maker:
    def make(world: World) -> Presented:
        folder = world.server.home.users_folder
        leaf, *chain = x509.load_pem_x509_certificates((folder / f"{user}.pem").read_bytes())
        key = load_pem_private_key((folder / f"{user}.key").read_bytes(), None)
        return Presented(leaf.public_bytes(Encoding.DER), key, chain)  # type: ignore[arg-type]

    return make


def pair_of(presented: Presented) -> Pair:
    return Pair(x509.load_der_x509_certificate(presented.der), presented.key)


def malleable(user: str) -> Maker:
    """The user's own certificate with the other of its two valid signatures: different bytes, same serial number."""

    def make(world: World) -> Presented:
        good = user_file(user)(world)
        der = other_signature(x509.load_der_x509_certificate(good.der))
        assert der != good.der
        return Presented(der, good.key, good.chain)

    return make


def the_servers_own(world: World) -> Presented:
    home = world.server.home
    (leaf,) = x509.load_pem_x509_certificates(home.server_certificate.read_bytes())
    key = load_pem_private_key(home.server_key.read_bytes(), None)
    return Presented(leaf.public_bytes(Encoding.DER), key)  # type: ignore[arg-type]


def class_of_the_company(world: World) -> Presented:
    policies = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(CLASS_OID), None)])
    return present(Recipe(subject=name("dora"), extensions=_with((policies, True))).signed_by(COMPANY))


def with_upn(value: bytes) -> Maker:
    return company(x509.OtherName(UPN, value))


def mail(*addresses: str) -> Maker:
    return company(*(x509.RFC822Name._init_without_validation(one) for one in addresses))


def uri(value: str) -> Maker:
    return company(x509.UniformResourceIdentifier(value))


def subject(*attributes: tuple[x509.ObjectIdentifier, str]) -> Maker:
    return company(subject=x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes]))


def refused(make: Maker, reason: str, said: str) -> Case:
    return Case(make, "refused", reason, said)


def unmapped(make: Maker, said: str = NOT_MAPPED) -> Case:
    return Case(make, "guest", "no-user-mapped", said)


def self_signed(make: Maker) -> Case:
    return Case(make, "guest", "self-signed-not-pinned", "is self-signed")


def dora(make: Maker) -> Case:
    return Case(make, "user:dora", "identified", "you are dora (user; class 0)")


EXPIRED = {"not_before": now() - 30 * DAY, "not_after": now() - DAY}
NOT_FOR_CLIENTS = "was not issued for clients"
BAD_PATH = "to a trusted authority is not valid"
CN, OU, ORG = NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.ORGANIZATION_NAME
CONSTRAINTS = bytes.fromhex("0603551d130101ff04023000")

LEAVES = {
    "expired": refused(ours(**EXPIRED), "certificate-expired", "expired on "),
    "expired a second ago": refused(
        ours(not_after=now() - timedelta(seconds=1)), "certificate-expired", "expired on "
    ),
    "not yet valid": refused(ours(not_before=now() + DAY), "certificate-not-yet-valid", "is not valid before "),
    "a CA": refused(ours(extensions=ca_extensions()), "ca-certificate", "is never a user"),
    "a CA that says so without emphasis": refused(
        ours(extensions=_with((x509.BasicConstraints(ca=True, path_length=None), False))),
        "ca-certificate",
        "never a user",
    ),
    "for servers": refused(
        ours(extensions=_with((EKU([ExtendedKeyUsageOID.SERVER_AUTH]), False))), "wrong-purpose", NOT_FOR_CLIENTS
    ),
    "for code": refused(
        ours(extensions=_with((EKU([ExtendedKeyUsageOID.CODE_SIGNING]), False))), "wrong-purpose", NOT_FOR_CLIENTS
    ),
    "for any purpose": refused(
        ours(extensions=_with((EKU([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False))),
        "wrong-purpose",
        NOT_FOR_CLIENTS,
    ),
    "key agreement only": refused(
        ours(extensions=_with((key_usage("key_agreement"), True))), "wrong-purpose", NOT_FOR_CLIENTS
    ),
    "RSA of 1024 bits": refused(
        ours(key=rsa.generate_private_key(65537, 1024)), "weak-key", "RSA, 1024 bits) is too weak"
    ),
    "RSA of 1536 bits": refused(
        ours(key=rsa.generate_private_key(65537, 1536)), "weak-key", "RSA, 1536 bits) is too weak"
    ),
    "an unknown critical extension": refused(
        ours(extensions=_with(_unknown("1.3.6.1.4.1.99999.7", True))), "unknown-critical-extension", "does not know"
    ),
    "critical name constraints on a leaf": unmapped(
        ours(extensions=_with((x509.NameConstraints([x509.DNSName("example.com")], None), True)))
    ),
    "critical policy constraints on a leaf": refused(
        ours(extensions=_with((x509.PolicyConstraints(0, None), True))), "bad-path", BAD_PATH
    ),
    "an unknown extension without emphasis": unmapped(ours(extensions=_with(_unknown("1.3.6.1.4.1.99999.7", False)))),
    "no extensions": unmapped(ours(extensions=[])),
    "valid without end": unmapped(ours(not_after=now().replace(year=9999))),
    "the serial number zero": refused(serial(b"\0"), "bad-serial-number", "is not one that a certificate can have"),
    "a negative serial number": refused(serial(b"\xf0\x01"), "bad-serial-number", "is not one that"),
    "a serial number of 21 bytes": refused(serial(b"\x01" + b"\0" * 20), "bad-serial-number", "is not one that"),
    "a serial number of 40 bytes": refused(serial(b"\x7f" * 40), "bad-serial-number", "is not one that"),
    "a serial number of 20 bytes": unmapped(serial(b"\x7f" * 20)),
    "signed with SHA-1": refused(signed_with(ECDSA_SHA1), "weak-signature", "is of a kind that is too weak"),
    "signed with SHA-224": refused(signed_with(ECDSA_SHA224), "weak-signature", "is of a kind that is too weak"),
    "a forged issuer": refused(
        lambda world: present(Recipe().signed(world.built_in.certificate.subject, STRANGER.key)),
        "bad-signature",
        "but was not signed by it",
    ),
    "a bit of the signature turned": refused(flipped(-1), "bad-signature", "but was not signed by it"),
    "version 1": refused(without_version, "bad-path", BAD_PATH),
    "the server's own": refused(the_servers_own, "wrong-purpose", NOT_FOR_CLIENTS),
    "the CA's own": refused(lambda world: present(world.built_in), "ca-certificate", "is never a user"),
    "issued by a user": refused(
        lambda world: present(Recipe().signed_by(pair_of(user_file("bob")(world))), pair_of(user_file("bob")(world))),
        "bad-path",
        BAD_PATH,
    ),
    "a user's name on another key": unmapped(ours(subject=name("alice"))),
    "a revoked user's": refused(user_file("rolf"), "certificate-revoked", "(affiliationChanged)"),
    "a revoked user's with its other signature": refused(malleable("rolf"), "certificate-revoked", "was revoked on "),
    "a user's with its other signature": Case(
        malleable("bob"), "user:bob", "identified", "you are bob (user; class 1)"
    ),
}
NAMES = {
    "dora": dora(common_name("dora")),
    "two common names": unmapped(subject((CN, "dora"), (CN, "dora"))),
    "a common name of two": unmapped(subject((CN, "dora"), (CN, "other"))),
    "a BMPString": unmapped(common_name("dora", _ASN1Type.BMPString)),
    "a T61String": unmapped(common_name("dora", _ASN1Type.T61String)),
    "a UniversalString": unmapped(common_name("dora", _ASN1Type.UniversalString)),
    "a NUL behind the name": unmapped(common_name("dora\0"), r"dora\\00"),
    "a newline behind the name": unmapped(common_name("dora\n"), r"dora\x0a"),
    "a terminal's escape": unmapped(common_name("\x1b[2Jdora"), r"\x1b[2Jdora"),
    "a bidirectional override": unmapped(common_name("\u202edora"), r"\u202edora"),
    "a zero-width space": unmapped(common_name("do\u200bra"), r"do\u200bra"),
    "a Cyrillic look-alike": unmapped(common_name("d\u043era")),
    "a full-width letter": unmapped(common_name("\uff44ora")),
    "capitals": unmapped(common_name("Dora")),
    "a space behind the name": unmapped(common_name("dora ")),
    "10 KB": unmapped(common_name("d" * 10_000)),
    "an empty name": unmapped(common_name("")),
    "nothing in the subject": unmapped(company(subject=x509.Name([]))),
    "a user of the built-in CA": unmapped(common_name("alice")),
    "a name that nobody has": unmapped(common_name("nobody")),
    "guest": unmapped(common_name("guest")),
    "mail": dora(mail("dora@example.com")),
    "mail with a host in capitals": dora(mail("dora@EXAMPLE.com")),
    "mail in capitals": unmapped(mail("DORA@example.com")),
    "mail of a longer host": unmapped(mail("dora@example.com.evil.example")),
    "mail of another host": unmapped(mail("dora@example.community")),
    "mail with something before the name": unmapped(mail("x.dora+@example.com")),
    "mail with two at signs": unmapped(mail("dora@example.com@example.com")),
    "mail twice": unmapped(mail("dora@example.com", "dora@example.com")),
    "mail of dora and of another user": unmapped(mail("dora@example.com", "alice@example.com")),
    "mail in the subject": unmapped(subject((NameOID.EMAIL_ADDRESS, "dora@example.com"))),
    "mail that is a host": unmapped(company(x509.DNSName("dora@example.com"))),
    "a URI": dora(uri("spiffe://example.com/user/dora")),
    "a URI with a path behind it": unmapped(uri("spiffe://example.com/user/dora/../alice")),
    "a URI of a longer host": unmapped(uri("spiffe://example.com.evil/user/dora")),
    "a UPN": dora(with_upn(encode(0x0C, b"dora@corp.example"))),
    "a UPN that is no UTF-8": unmapped(with_upn(encode(0x0C, b"\xffdora@corp.example"))),
    "a UPN of another type": unmapped(with_upn(encode(0x16, b"dora@corp.example"))),
    "a subject": dora(subject((ORG, "Example"), (OU, "Staff"), (CN, "dora"))),
    "a subject with more before it": unmapped(subject((ORG, "Example"), (OU, "Staff"), (CN, "dora"), (CN, "x"))),
    "a comma in a name": unmapped(subject((ORG, "Example"), (CN, "dora,OU=Staff"), (CN, "x"))),
    "the same subject of a CA without entries": unmapped(company(subject=name("dora"), ca=OTHER)),
    "the same subject of an unknown CA": refused(
        company(subject=name("dora"), ca=STRANGER), "unknown-issuer", "not trust"
    ),
    "a class that this CA may not assert": dora(class_of_the_company),
}
CHAINS = {
    "an intermediate": dora(lambda _: present(_dora(made := make_intermediate(COMPANY)), made)),
    "in any order, with a stranger": dora(shuffled),
    "an intermediate that is not sent": refused(
        lambda _: present(_dora(make_intermediate(COMPANY))), "unknown-issuer", "which this server does not trust"
    ),
    "an expired intermediate": refused(below(**EXPIRED), "bad-path", BAD_PATH),
    "an intermediate of tomorrow": refused(below(not_before=now() + DAY / 2), "bad-path", BAD_PATH),
    "an intermediate that is no CA": refused(below(extensions=Recipe().extensions), "bad-path", BAD_PATH),
    "an intermediate that may sign CRLs only": refused(
        below(extensions=[ca_extensions(0)[0], (key_usage("crl_sign"), True)]), "bad-path", BAD_PATH
    ),
    "an intermediate with a weak key": refused(
        below(key=rsa.generate_private_key(65537, 1024)), "bad-path", BAD_PATH
    ),
    "an intermediate with a weak signature": refused(below_with_weak_signature, "unknown-issuer", "does not trust"),
    "an intermediate with an unknown critical extension": refused(
        below(extensions=[*ca_extensions(0), _unknown("1.3.6.1.4.1.99999.7", True)]), "bad-path", BAD_PATH
    ),
    "a path that is too long for a CA": refused(below_two, "bad-path", BAD_PATH),
    "a chain of 12": refused(chain_of(12), "unknown-issuer", "which this server does not trust"),
    "a name outside the permitted ones": refused(constrained(excluded=False), "bad-path", BAD_PATH),
    "a name among the excluded ones": refused(constrained(excluded=True), "bad-path", BAD_PATH),
    "two CAs that vouch for each other": refused(in_a_circle, "unknown-issuer", "which this server does not trust"),
}
PINS = {
    "pinned": Case(lambda _: present(PINNED), "user:pia", "identified", "you are pia (user; class 0)"),
    "the pinned key in another certificate": Case(pinned(), "user:pia", "identified", "you are pia (user; class 0)"),
    "the pinned key in one that expired": refused(pinned(**EXPIRED), "certificate-expired", "expired on "),
    "the pinned key in one for servers": refused(
        pinned(extensions=[(EKU([ExtendedKeyUsageOID.SERVER_AUTH]), False)]), "wrong-purpose", NOT_FOR_CLIENTS
    ),
    "the pinned key in a CA that may only sign certificates": refused(
        pinned(extensions=ca_extensions()), "wrong-purpose", NOT_FOR_CLIENTS
    ),
    "the pinned key in a CA for servers": refused(
        pinned(extensions=[ca_extensions()[0], (EKU([ExtendedKeyUsageOID.SERVER_AUTH]), True)]),
        "wrong-purpose",
        NOT_FOR_CLIENTS,
    ),
    "the pinned key with an unknown critical extension": refused(
        pinned(extensions=[_unknown("1.3.6.1.4.1.99999.7", True)]), "unknown-critical-extension", "does not know"
    ),
    "below a pinned CA": refused(below_pin, "unknown-issuer", "which this server does not trust"),
    "the name of a pinned one": self_signed(lambda _: present(make_ca("pia"))),
    "the name of the CA": self_signed(
        lambda world: present(Recipe(subject=world.built_in.certificate.subject).self_signed())
    ),
    "a pin that was taken back": refused(lambda _: present(TAKEN_BACK), "certificate-revoked", "was revoked on "),
}
CASES = {
    f"{kind}: {title}": case
    for kind, cases in (("leaf", LEAVES), ("name", NAMES), ("chain", CHAINS), ("pin", PINS))
    for title, case in cases.items()
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_each_hostile_certificate_has_its_outcome_on_the_screen_and_in_the_log(
    case: Case, world: World, tmp_path: Path
) -> None:
    presented = case.make(world)
    server = world.server
    with Client(server.port, server.home.ca_certificate, presented.save(tmp_path)) as client:
        kind, _, user = case.outcome.partition(":")
        if kind == "refused":
            said = client.read_to_end()
            assert said.startswith("refused: ")
            event = server.session_from(client.port, "session-refused")
        else:
            said = client.read_until(f"{user or 'guest'}> ".encode())
            event = server.session_from(client.port)
        assert case.said in said
        assert said.replace("\r\n", "").isprintable()
        assert event["event"]["reason"] == case.reason
        assert get(event, "user.name") == (user or None)
        assert get(event, "tls.client.hash.sha256") == presented.sha256.upper()
        assert get(event, "telnetsd.certificate.status") == status_of(case)


@pytest.mark.parametrize(
    "make", [doubled_extension, replaced(CONSTRAINTS, CONSTRAINTS[:-2] + b"\x05\x00")], ids=["twice", "not one"]
)
def test_basic_constraints_that_no_openssl_client_would_present_are_malformed(make: Maker, world: World) -> None:
    trust = make_trust((TrustAnchor(world.built_in.certificate, "ca.pem"),))
    with pytest.raises(PathError) as caught:
        validate_path(PeerCertificate(make(world).der), trust, now())
    assert caught.value.reason is PathReason.MALFORMED


def status_of(case: Case) -> str:
    if case.outcome == "refused":
        return "rejected"
    return "provisional" if case.reason == "self-signed-not-pinned" else "verified"


def test_a_certificate_of_200_kb_ends_the_handshake_and_is_logged(world: World, tmp_path: Path) -> None:
    import ssl

    huge = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.8"), b"\x04" + b"x" * 200_000)
    presented = present(Recipe(extensions=_with((huge, False))).signed_by(world.built_in))
    server = world.server
    before = len(handshake_failures(server))
    with (
        pytest.raises((ssl.SSLError, ConnectionError, AssertionError)),
        Client(server.port, server.home.ca_certificate, presented.save(tmp_path)) as client,
    ):
        client.read_until()
    server.wait_for(lambda _: len(handshake_failures(server)) > before)


def handshake_failures(server: RunningServer) -> list[Event]:
    return [event for event in server.events() if action_of(event) == "handshake-failed"]


def test_there_are_at_least_sixty_hostile_certificates() -> None:
    assert len(CASES) >= 60
