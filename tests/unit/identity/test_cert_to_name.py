"""cert-to-name (RFC 7407 section 4): each map-type, and every value that must not become a name."""

import ipaddress
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from support.certificates import Pair, Recipe, make_ca, make_intermediate, name, now
from support.der import encode
from support.homes import fingerprint
from telnetsd.config.settings import CertToNameSettings
from telnetsd.config.values import MapType
from telnetsd.errors import OperatorError
from telnetsd.identity.cert_to_name import NoMatch, make_entry, map_to_name
from telnetsd.identity.name_pattern import NamePattern
from telnetsd.identity.names import values_of
from telnetsd.identity.outcome import User, is_user_name
from telnetsd.pki.path import CertificationPath as CertificatePath
from telnetsd.pki.path import validate_path
from telnetsd.pki.trust import TrustAnchor, make_trust
from telnetsd.state.sqlite.store import SqliteStore

CA = make_ca()
UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")


def leaf(*names: x509.GeneralName, subject: x509.Name | None = None) -> Pair:
    extensions = list(Recipe().extensions)
    if names:
        extensions.append((x509.SubjectAlternativeName(list(names)), False))
    return Recipe(subject=name("dora") if subject is None else subject, extensions=extensions).signed_by(CA)


def path_of(pair: Pair) -> CertificatePath:
    return validate_path(pair.peer, make_trust((TrustAnchor(CA.certificate, "ca.pem"),)), now())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "state.db")) as opened:
        with opened.transaction():
            opened.users.add(User("dora", ("operator",)), now(), is_mapped=True)
            opened.users.add(User("alice", ("operator",)), now(), is_mapped=False)
        yield opened


def settings(map_type: MapType, pair: Pair = CA, **options: object) -> CertToNameSettings:
    return CertToNameSettings(id="e", fingerprint=fingerprint(pair), map_type=map_type, **options)  # type: ignore[arg-type]


def find(state: SqliteStore, pair: Pair, map_type: MapType, **options: object) -> str:
    return make_entry(settings(map_type, CA, **options)).find(path_of(pair), state).name


MAIL, HOST = x509.RFC822Name("dora@EXAMPLE.com"), x509.DNSName("Dora.Lab")
IPV4, IPV6 = (x509.IPAddress(ipaddress.ip_address(one)) for one in ("192.0.2.1", "2001:db8::1"))
URI = x509.UniformResourceIdentifier("spiffe://example.com/user/dora")


@pytest.mark.parametrize(
    ("map_type", "pair", "options"),
    [
        (MapType.SPECIFIED, leaf(), {"name": "dora"}),
        (MapType.COMMON_NAME, leaf(), {}),
        (MapType.COMMON_NAME, leaf(subject=name("Dora Doe")), {"names": {"Dora Doe": "dora"}}),
        (MapType.COMMON_NAME, leaf(subject=name("dora (staff)")), {"pattern": "{name} (staff)"}),
        (MapType.SAN_RFC822_NAME, leaf(MAIL), {"pattern": "{name}@example.com"}),
        (MapType.SAN_RFC822_NAME, leaf(MAIL), {"names": {"dora@example.com": "dora"}}),
        (MapType.SAN_DNS_NAME, leaf(HOST), {"pattern": "{name}.lab"}),
        (MapType.SAN_IP_ADDRESS, leaf(IPV4), {"names": {"192.0.2.1": "dora"}}),
        (MapType.SAN_IP_ADDRESS, leaf(IPV6), {"names": {"20010db8000000000000000000000001": "dora"}}),
        (MapType.SAN_ANY, leaf(IPV4, MAIL, HOST), {"pattern": "{name}.lab"}),
        (MapType.SUBJECT, leaf(), {"pattern": "CN={name}"}),
        (MapType.SAN_URI, leaf(URI), {"pattern": "spiffe://*/user/{name}"}),
        (MapType.SAN_UPN, leaf(x509.OtherName(UPN, encode(0x0C, b"dora@corp"))), {"pattern": "{name}@corp"}),
    ],
)
def test_each_map_type_finds_its_name(
    map_type: MapType, pair: Pair, options: dict[str, object], state: SqliteStore
) -> None:
    assert find(state, pair, map_type, **options) == "dora"


@pytest.mark.parametrize(
    ("map_type", "pair", "options", "why"),
    [
        (MapType.COMMON_NAME, leaf(subject=name("alice")), {}, NoMatch.NOT_MAPPED),
        (MapType.COMMON_NAME, leaf(subject=name("alice")), {"roles": ("operator",)}, NoMatch.NOT_MAPPED),
        (MapType.COMMON_NAME, leaf(subject=name("nobody")), {}, NoMatch.NO_USER),
        (MapType.COMMON_NAME, leaf(subject=name("x")), {"names": {"y": "dora"}}, NoMatch.NO_NAME),
        (MapType.COMMON_NAME, leaf(subject=x509.Name([])), {}, NoMatch.NO_VALUE),
        (MapType.COMMON_NAME, leaf(subject=x509.Name([*name("dora"), *name("x")])), {}, NoMatch.NO_VALUE),
        (MapType.SAN_RFC822_NAME, leaf(), {}, NoMatch.NO_VALUE),
        (MapType.SAN_DNS_NAME, leaf(MAIL), {}, NoMatch.NO_VALUE),
        (MapType.SAN_ANY, leaf(HOST, x509.DNSName("emil.lab")), {"pattern": "{name}.lab"}, NoMatch.SEVERAL_NAMES),
        (MapType.SAN_ANY, leaf(*[x509.DNSName(f"h{n}.lab") for n in range(17)]), {}, NoMatch.NO_VALUE),
    ],
)
def test_a_mapping_without_a_result_says_why(
    map_type: MapType, pair: Pair, options: dict[str, object], why: NoMatch, state: SqliteStore
) -> None:
    assert find(state, pair, map_type, **options) == why.name


def test_the_roles_of_an_entry_apply_only_to_a_name_that_is_not_and_was_not_a_user(state: SqliteStore) -> None:
    entry = make_entry(settings(MapType.COMMON_NAME, roles=("user",)))
    assert entry.find(path_of(leaf(subject=name("nobody"))), state) == User("nobody", ("user",))
    assert entry.find(path_of(leaf()), state) == User("dora", ("operator",)), "her own roles count"
    with state.transaction():
        state.users.remove("dora")
    assert entry.find(path_of(leaf()), state) is NoMatch.NOT_MAPPED, "who was removed does not come back by the entry"


def test_the_first_entry_that_yields_a_user_decides_and_each_is_bound_to_a_fingerprint(state: SqliteStore) -> None:
    other = make_ca("Other")
    entries = tuple(
        make_entry(settings(MapType.SPECIFIED, pair, name=user, roles=("user",)))
        for pair, user in ((other, "other"), (CA, "alice"), (CA, "first"), (CA, "second"))
    )
    match = map_to_name(path_of(leaf()), entries, state)
    assert match is not None
    assert match.user.name == "first"
    own = leaf()
    assert make_entry(settings(MapType.SPECIFIED, own, name="dora")).find(path_of(own), state) == User(
        "dora", ("operator",)
    )


def test_an_entry_can_be_bound_to_an_intermediate(state: SqliteStore) -> None:
    intermediate = make_intermediate(CA)
    below = Recipe(subject=name("dora")).signed_by(intermediate)
    below.chain = [intermediate.certificate]
    entry = make_entry(settings(MapType.COMMON_NAME, intermediate))
    assert entry.find(path_of(below), state) == User("dora", ("operator",))
    assert entry.find(path_of(leaf()), state) is NoMatch.OTHER_FINGERPRINT


@pytest.mark.parametrize(
    "value",
    ["\u212aen", "k\u0131m", "dora\u200b", "\uff44ora"],
)
def test_a_host_name_beyond_ascii_yields_no_name(value: str) -> None:
    odd = x509.DNSName._init_without_validation(value)
    certificate = type("C", (), {"extensions": _Extensions(odd), "subject": x509.Name([])})()
    assert values_of(certificate, MapType.SAN_DNS_NAME) == []


class _Extensions:
    """The extensions of a certificate with an odd name; no builder would write one."""

    def __init__(self, *names: x509.GeneralName) -> None:
        self._names = names

    def get_extension_for_class(self, _: object) -> object:
        return type("E", (), {"value": self._names})()


@pytest.mark.parametrize(
    "der", [b"", b"\x0c", b"\x0c\x05dora", b"\x0c\x81\x80" + b"x" * 128, b"\x16\x04dora", b"\x0c\x01\xff"]
)
def test_a_upn_that_is_not_a_short_utf8_string_yields_no_name(der: bytes) -> None:
    certificate = type("C", (), {"extensions": _Extensions(x509.OtherName(UPN, der)), "subject": x509.Name([])})()
    assert values_of(certificate, MapType.SAN_UPN) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"map_type": MapType.SPECIFIED}, "specified requires name"),
        ({"map_type": MapType.SPECIFIED, "name": "dora", "pattern": "{name}"}, "specified requires name"),
        ({"map_type": MapType.SPECIFIED, "name": "Dora"}, "'Dora' cannot be a user name"),
        ({"map_type": MapType.COMMON_NAME, "name": "dora"}, "belongs to the map_type specified"),
        ({"map_type": MapType.COMMON_NAME, "names": {"x": "Dora"}}, "'Dora' cannot be a user name"),
        ({"map_type": MapType.SUBJECT}, "needs a pattern or names"),
        ({"map_type": MapType.COMMON_NAME, "pattern": "CN=x"}, "must have {name} in it exactly once"),
        ({"map_type": MapType.COMMON_NAME, "pattern": "{name}{name}"}, "must have {name} in it exactly once"),
        ({"map_type": MapType.COMMON_NAME, "pattern": "*{name}"}, "there must be text between"),
    ],
)
def test_an_entry_that_cannot_work_is_refused_when_it_is_loaded(options: dict[str, object], words: str) -> None:
    with pytest.raises(OperatorError) as caught:
        make_entry(settings(**options))  # type: ignore[arg-type]
    assert words in str(caught.value)


USER_NAMES = st.from_regex(r"[a-z][a-z0-9._-]{0,31}", fullmatch=True).filter(is_user_name)


@given(USER_NAMES, st.text(max_size=5), st.text(max_size=5))
def test_a_pattern_matches_the_whole_value_or_nothing(user: str, before: str, behind: str) -> None:
    pattern = NamePattern("{name}@example.com", "e")
    assert pattern.name_in(f"{user}@example.com") == user
    found = pattern.name_in(f"{before}{user}@example.com{behind}")
    assert found is None or (behind == "" and f"{found}@example.com" == f"{before}{user}@example.com")


@given(st.text(max_size=300))
def test_a_pattern_yields_only_names_in_the_allowed_alphabet(value: str) -> None:
    found = NamePattern("CN={name},O=*", "e").name_in(value)
    assert found is None or value == f"CN={found},O={value.partition(',O=')[2]}"


def test_a_dot_and_a_star_in_a_pattern_are_not_regular_expression_syntax() -> None:
    pattern = NamePattern("{name}@example.com", "e")
    assert pattern.name_in("dora@exampleXcom") is None
    parts = NamePattern("spiffe://*/user/{name}", "e")
    assert parts.name_in("spiffe://a.example/user/dora") == "dora"
    assert parts.name_in("spiffe://a.example/x/user/dora") is None


def test_a_certificate_has_no_value_for_a_specified_name_and_for_a_network() -> None:
    network = leaf(x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))).certificate
    assert values_of(network, MapType.SPECIFIED) == []
    assert values_of(network, MapType.SAN_IP_ADDRESS) == []


def test_a_reserved_name_that_a_pattern_yields_names_no_user(state: SqliteStore) -> None:
    guest = leaf(x509.RFC822Name("guest@example.com"))
    assert find(state, guest, MapType.SAN_RFC822_NAME, pattern="{name}@example.com") == NoMatch.NO_NAME.name
