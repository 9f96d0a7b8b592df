"""A holder can change a certificate's signature, its encoding and what is sent along: it names no other user."""

from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from support.certificates import DAY, Pair, Recipe, ca_extensions, make_ca, name, now
from support.der import encode
from telnetsd.config.loading import load_settings
from telnetsd.events.reason import PathReason
from telnetsd.identity.assurance import make_classes
from telnetsd.identity.cert_to_name import make_entry
from telnetsd.identity.identify import PER_LEAF_MAX, Identifier, Policy
from telnetsd.identity.outcome import Identity, NamedUser, Refusal, User
from telnetsd.pki.certificate import PeerCertificate
from telnetsd.pki.der import BIT_STRING, SEQUENCE, content_of
from telnetsd.pki.fingerprints import fingerprints_of
from telnetsd.pki.trust import TrustAnchor, make_trust
from telnetsd.state.sqlite.store import SqliteStore

CURVES: list[type[ec.EllipticCurve]] = [ec.SECP256R1, ec.SECP384R1, ec.SECP521R1]


def colons(der: bytes) -> str:
    return f"SHA256:{sha256(der).hexdigest().upper()}"


CONFIGURATION = """
[identity]
crl_policy = "prefer"

[[cert_to_name]]
id = "contractors"
fingerprint = "{first}"
map_type = "specified"
name = "contractor"
roles = ["guest"]

[[cert_to_name]]
id = "everybody"
fingerprint = "{root}"
map_type = "common-name"
"""
"""As in an installation of version 0.1."""


class World:
    """A root, the contractors' intermediate below it, and a contractor whose common name is alice's."""

    def __init__(self, curve: type[ec.EllipticCurve]) -> None:
        self.curve = curve
        self.root = make_ca("Root", key=self._key())
        contractors = Recipe(
            name("Contractors"), self._key(), extensions=ca_extensions(0), not_after=now() + 100 * DAY
        )
        self.intermediate = contractors.signed_by(self.root)
        self.leaf = Recipe(subject=name("alice"), key=self._key()).signed_by(self.intermediate)

    def _key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(self.curve())


@pytest.fixture(scope="module", params=CURVES, ids=lambda curve: curve.name)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(tmp_path / "state.db")) as opened:
        with opened.transaction():
            for one in ("alice", "contractor"):
                opened.users.add(User(one, ("user",)), now(), is_mapped=True)
        yield opened


def flipped(pair: Pair, issuer: Pair) -> bytes:
    """Return a certificate with the other valid signature, which any peer can compute."""
    twins = fingerprints_of(pair.certificate, issuer.certificate)
    (other,) = twins - {sha256(pair.der).hexdigest()}
    curve = issuer.certificate.public_key().curve  # type: ignore[union-attr]
    r, s = decode_dss_signature(pair.certificate.signature)
    der = with_signature(pair.der, b"\0" + encode_dss_signature(r, curve.group_order - s))
    assert sha256(der).hexdigest() == other
    return der


def with_signature(der: bytes, content: bytes) -> bytes:
    signed, _ = content_of(der)
    _, algorithm = content_of(der, signed)
    _, signature = content_of(der, algorithm)
    return encode(SEQUENCE, der[signed:signature] + encode(BIT_STRING, content))


def identifier(world: World, first: bytes, state: SqliteStore, tmp_path: Path) -> Identifier:
    """Return an identifier for a configuration whose first entry is for the certificate with these bytes."""
    path = tmp_path / "telnetsd.toml"
    path.write_text(CONFIGURATION.format(first=colons(first), root=colons(world.root.der)))
    settings = load_settings(path)
    entries = tuple(map(make_entry, settings.cert_to_name))
    policy = Policy(entries, make_classes({}, (), ()), frozenset(), settings.identity.crl_policy)
    return Identifier(make_trust((TrustAnchor(world.root.certificate, "root.pem"),)), policy, state)


def user(identity: Identity) -> str:
    assert isinstance(identity, NamedUser), identity
    return identity.name


@pytest.mark.parametrize("named", ["intermediate", "leaf"])
@pytest.mark.parametrize("is_flipped_first", [True, False])
def test_a_flipped_signature_names_no_other_user_whichever_comes_first(
    named: str, is_flipped_first: bool, world: World, state: SqliteStore, tmp_path: Path
) -> None:
    honest, twin = world.leaf.der, flipped(world.leaf, world.intermediate)
    above, above_twin = world.intermediate.der, flipped(world.intermediate, world.root)
    one = identifier(world, getattr(world, named).der, state, tmp_path)
    presentations = [PeerCertificate(leaf, (ca,)) for leaf in (honest, twin) for ca in (above, above_twin)]
    for peer in reversed(presentations) if is_flipped_first else presentations:
        assert user(one.identify(peer, now())) == "contractor"


def test_an_entry_with_the_fingerprint_of_either_signature_matches_both(
    world: World, state: SqliteStore, tmp_path: Path
) -> None:
    """The author of the configuration may have been given the twin."""
    one = identifier(world, flipped(world.leaf, world.intermediate), state, tmp_path)
    assert user(one.identify(PeerCertificate(world.leaf.der, (world.intermediate.der,)), now())) == "contractor"


def test_the_entry_of_a_ca_is_compared_with_the_local_copy(world: World, state: SqliteStore, tmp_path: Path) -> None:
    """The root is self-signed: its twin, sent by the client, is not considered."""
    one = identifier(world, world.root.der, state, tmp_path)
    twin = flipped(world.root, world.root)
    peer = PeerCertificate(world.leaf.der, (world.intermediate.der, twin))
    assert user(one.identify(peer, now())) == "contractor"


def padded(der: bytes) -> bytes:
    """Mark the last bit of the signature as unused, where it is zero."""
    signed, _ = content_of(der)
    _, algorithm = content_of(der, signed)
    begin, end = content_of(der, content_of(der, algorithm)[1])
    return with_signature(der, b"\1" + der[begin + 1 : end])


def longer_length(der: bytes) -> bytes:
    """Write the outer length in one byte more than necessary: BER, and not DER."""
    begin, _ = content_of(der)
    return bytes([SEQUENCE, 0x84]) + len(der[begin:]).to_bytes(4, "big") + der[begin:]


def other_algorithm(der: bytes) -> bytes:
    """Make the outer algorithm differ from the inner one, with NULL for its parameters."""
    signed, _ = content_of(der)
    _, algorithm = content_of(der, signed)
    begin, end = content_of(der, algorithm)
    return encode(SEQUENCE, der[signed:algorithm] + encode(SEQUENCE, der[begin:end] + b"\x05\0") + der[end:])


@pytest.mark.parametrize("change", [padded, longer_length, other_algorithm, lambda der: der + b"\0"])
def test_other_bytes_around_the_signed_content_are_not_a_certificate(
    change: Callable[[bytes], bytes], world: World, state: SqliteStore, tmp_path: Path
) -> None:
    one = identifier(world, world.leaf.der, state, tmp_path)
    recipe = Recipe(subject=name("alice"))
    leaf = recipe.signed_by(world.intermediate)
    while leaf.certificate.signature[-1] % 2:
        leaf = recipe.signed_by(world.intermediate)
    assert user(one.identify(PeerCertificate(leaf.der, (world.intermediate.der,)), now())) == "alice"
    found = one.identify(PeerCertificate(change(leaf.der), (world.intermediate.der,)), now())
    assert isinstance(found, Refusal)
    assert found.reason is PathReason.MALFORMED
    # An intermediate with such a change is ignored.
    above = world.intermediate.der
    found = one.identify(PeerCertificate(leaf.der, (longer_length(above),)), now())
    assert isinstance(found, Refusal)
    assert found.reason is PathReason.UNKNOWN_ISSUER


def test_presentations_of_one_leaf_evict_no_other_verdict(world: World, state: SqliteStore, tmp_path: Path) -> None:
    one = identifier(world, world.leaf.der, state, tmp_path)
    for junk in range(10 * PER_LEAF_MAX):
        one.identify(PeerCertificate(world.leaf.der, (world.intermediate.der, b"%d" % junk)), now())
    assert len(one._paths) <= PER_LEAF_MAX
    assert len(one._of_leaf) == 1
