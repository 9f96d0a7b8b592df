"""Who may use the engine: keys and tokens as NATS defines them (NKeys, and JWTs that these sign).

The founder's node has the keys: one that stands for the operator of the engine, one for the account that has the
streams, one for the account of the nodes, and two that sign tokens of nodes. What a token allows is written in the
account of the nodes, per signing key, and not in the token: it can name no other node.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

import msgspec
import nkeys

from telnetsd.fleet.subjects import permissions, services
from telnetsd.state.fleet import EVERY_CAPABILITY, Capability

_SEED_BYTES: Final = 32
_UNLIMITED: Final = -1
_ANYTHING: Final[dict[str, Any]] = {"pub": {}, "sub": {}}
_LIMITS: Final = {
    **dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), _UNLIMITED),
    "wildcards": True,
}
_STORAGE: Final = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), _UNLIMITED)
_FOR_EVER: Final = 2**40
"""A time (Unix) in the far future."""
_USER_LIMITS: Final = dict.fromkeys(("subs", "data", "payload"), _UNLIMITED)


class AuthorityKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys that decide who may use the engine; each is the seed of an NKey. They are secrets."""

    operator: str
    system: str
    streams: str
    """The account that has the streams; no node has a token of it, but for the founder when it makes them."""
    nodes: str
    """The account of the nodes, which reaches of the other one what `subjects.services` names."""
    giver: str
    """Signs the tokens of nodes that may make every change."""
    edge: str
    """Signs the tokens of all other nodes."""
    cluster_password: str


class EngineFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a server of the engine has to know; the password is a secret.

    Attributes:
        operator: The JWT of the operator.
        system_account: The public key of the account for the engine's own use.
        accounts: The JWTs of the accounts, by their public keys.
        cluster_password: What the engine's servers tell each other.
    """

    operator: str
    system_account: str
    accounts: dict[str, str]
    cluster_password: str


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What a node shows to the engine: a JWT, and the seed that proves that it is its own, which is a secret."""

    seed: str
    jwt: str


@dataclass(frozen=True, slots=True)
class Signer:
    """Answers the engine's challenge for a token."""

    token: Token

    def jwt(self) -> bytes:
        """Return the JWT."""
        return self.token.jwt.encode()

    def sign(self, nonce: str | bytes) -> bytes:
        """Return the signature of a challenge, in base64."""
        nonce = nonce.encode() if isinstance(nonce, str) else nonce
        return base64.b64encode(_key(self.token.seed).sign(nonce))


def make_authority_keys() -> AuthorityKeys:
    """Generate the keys of a new fleet."""
    return AuthorityKeys(
        operator=_make_seed(nkeys.PREFIX_BYTE_OPERATOR),
        system=_make_seed(nkeys.PREFIX_BYTE_ACCOUNT),
        streams=_make_seed(nkeys.PREFIX_BYTE_ACCOUNT),
        nodes=_make_seed(nkeys.PREFIX_BYTE_ACCOUNT),
        giver=_make_seed(nkeys.PREFIX_BYTE_ACCOUNT),
        edge=_make_seed(nkeys.PREFIX_BYTE_ACCOUNT),
        cluster_password=secrets.token_urlsafe(_SEED_BYTES),
    )


def make_user_seed() -> str:
    """Generate the seed of a node's token."""
    return _make_seed(nkeys.PREFIX_BYTE_USER)


def public_key_of(seed: str) -> str:
    """Return the public key of a seed."""
    return cast("str", _key(seed).public_key.decode())


def is_user_key(text: str) -> bool:
    """Tell whether a text is the public key of a node's token."""
    try:
        raw = base64.b32decode(text)
    except ValueError:
        return False
    return len(raw) == _SEED_BYTES + 3 and raw[0] == nkeys.PREFIX_BYTE_USER


def sign_node_token(keys: AuthorityKeys, node: str, public_key: str, capabilities: tuple[Capability, ...]) -> str:
    """Return the JWT of a node, for the public key of its seed."""
    seed = keys.giver if Capability.GIVE in capabilities else keys.edge
    claims = {"issuer_account": public_key_of(keys.nodes), "type": "user", "version": 2}
    return _sign(seed, {"name": node, "sub": public_key, "nats": claims})


def founder_token(keys: AuthorityKeys) -> Token:
    """Return a token that may do everything in the account of the streams: it makes them."""
    seed = make_user_seed()
    claims = {**_ANYTHING, **_USER_LIMITS, "type": "user", "version": 2}
    return Token(seed=seed, jwt=_sign(keys.streams, {"name": "founder", "sub": public_key_of(seed), "nats": claims}))


def system_token(keys: AuthorityKeys) -> Token:
    """Return a token that may change accounts."""
    seed = make_user_seed()
    claims = {**_ANYTHING, **_USER_LIMITS, "type": "user", "version": 2}
    return Token(seed=seed, jwt=_sign(keys.system, {"name": "system", "sub": public_key_of(seed), "nats": claims}))


def nodes_account(keys: AuthorityKeys, fleet: str, revoked: Iterable[str] = ()) -> str:
    """Return the JWT of the account of the nodes.

    Args:
        keys: The keys of the fleet.
        fleet: The name of the fleet.
        revoked: The public keys of nodes that do not belong to the fleet any more.
    """
    scopes = [
        _scope(keys.giver, "giver", permissions(fleet, EVERY_CAPABILITY)),
        _scope(keys.edge, "edge", permissions(fleet, ())),
    ]
    streams = public_key_of(keys.streams)
    imports = [
        {"name": ours, "subject": theirs, "local_subject": ours, "account": streams, "type": "service"}
        for ours, theirs in services(fleet).items()
    ]
    nats = {
        "imports": imports,
        "limits": _LIMITS,
        "signing_keys": scopes,
        "default_permissions": _ANYTHING,
        # Whatever the time that a token claims to be of.
        "revocations": dict.fromkeys(revoked, _FOR_EVER),
        "type": "account",
        "version": 2,
    }
    return _sign(keys.operator, {"name": fleet, "sub": public_key_of(keys.nodes), "nats": nats})


def _streams_account(keys: AuthorityKeys, fleet: str) -> str:
    exports = [
        {"name": subject, "subject": subject, "type": "service", "response_type": "Singleton"}
        for subject in services(fleet).values()
    ]
    nats = {
        "exports": exports,
        "limits": {**_LIMITS, **_STORAGE},
        "default_permissions": _ANYTHING,
        "type": "account",
        "version": 2,
    }
    return _sign(keys.operator, {"name": f"{fleet} streams", "sub": public_key_of(keys.streams), "nats": nats})


def engine_file(keys: AuthorityKeys, fleet: str) -> EngineFile:
    """Return what a server of the engine has to know."""
    system = public_key_of(keys.system)
    of_operator = {"system_account": system, "type": "operator", "version": 2}
    of_system = {"limits": _LIMITS, "default_permissions": _ANYTHING, "type": "account", "version": 2}
    return EngineFile(
        operator=_sign(keys.operator, {"name": fleet, "sub": public_key_of(keys.operator), "nats": of_operator}),
        system_account=system,
        accounts={
            system: _sign(keys.operator, {"name": "system", "sub": system, "nats": of_system}),
            public_key_of(keys.streams): _streams_account(keys, fleet),
            public_key_of(keys.nodes): nodes_account(keys, fleet),
        },
        cluster_password=keys.cluster_password,
    )


def _scope(seed: str, role: str, template: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "user_scope", "key": public_key_of(seed), "role": role, "template": {**template, **_USER_LIMITS}}


def _make_seed(prefix: int) -> str:
    return bytes(nkeys.encode_seed(secrets.token_bytes(_SEED_BYTES), prefix)).decode()


def _key(seed: str) -> Any:  # noqa: ANN401 -- the library has no types
    return nkeys.from_seed(bytearray(seed.encode()))


def _sign(seed: str, claims: dict[str, Any]) -> str:
    """Return a JWT (RFC 7519) in the form that NATS defines, version 2."""
    key = _key(seed)
    claims = {"iat": int(time.time()), "iss": key.public_key.decode(), **claims}
    digest = hashlib.sha256(json.dumps(claims).encode()).digest()
    claims["jti"] = base64.b32encode(digest).rstrip(b"=").decode()
    signed = f"{_encode({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_encode(claims)}"
    return f"{signed}.{_base64(key.sign(signed.encode()))}"


def _encode(value: dict[str, Any]) -> str:
    return _base64(json.dumps(value).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
