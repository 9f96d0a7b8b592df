"""Joining a fleet: an invitation on one side, a bare machine with its code on the other.

The machine makes its keys itself and sends what others may know of them. The node that has the keys of the fleet
checks the code, which counts once, and answers with certificates and a token. The state comes from the stream.
"""

import hmac
import re
import secrets
from base64 import b32encode
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final, cast

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from telnetsd.administration.authority.authorities import (
    AskPassphrase,
    encode_chain,
    load_roots,
    load_server_ca,
    load_server_issuer,
)
from telnetsd.administration.authority.rotation import require_host_name
from telnetsd.administration.initialise import LOCAL_NAMES, make_folders
from telnetsd.administration.installation.applying import FOUNDER_PREFIX
from telnetsd.administration.installation.change import changing
from telnetsd.administration.replication.node_key import load_fleet_ca
from telnetsd.audit.key import make_audit_key
from telnetsd.config.documents import template
from telnetsd.config.settings import FleetSettings
from telnetsd.config.values import NODE_NAME_PATTERN
from telnetsd.errors import OperatorError
from telnetsd.events.of_the_fleet import FleetNodeAdmitted, FleetNodeInvited
from telnetsd.events.part import Fields
from telnetsd.files.atomic import make_secret_folder, write_public, write_secret
from telnetsd.files.home import Home, require_secret
from telnetsd.fleet.access import load_authority_keys
from telnetsd.fleet.credentials import (
    EngineFile,
    Token,
    engine_file,
    is_user_key,
    make_user_seed,
    public_key_of,
    sign_node_token,
)
from telnetsd.pki.authority import Authority, to_pem, utc_now
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.pki.keys import key_from_pem, key_to_pem
from telnetsd.state.fleet import Capability, FleetNode, Invitation, Membership
from telnetsd.state.opening import open_store
from telnetsd.state.store import Store

INVITATION_HOURS: Final = 24
_CODE_BYTES: Final = 16
_GROUP: Final = 5
_CODE: Final = re.compile(r"([a-z][a-z0-9-]{0,31})\.([a-z2-7-]{26,40})\.([0-9a-f]{64})")


class AdmissionError(OperatorError):
    """A machine is not admitted: it has no invitation, or the wrong code."""


class JoinRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine sends that wants to be a node; the code is a secret.

    Attributes:
        node: Its name.
        code: The code of the invitation.
        node_key: Its public key as a node (Ed25519, SubjectPublicKeyInfo).
        engine_key: The public key of its token.
        server_key: The public key of its server (P-256, SubjectPublicKeyInfo).
    """

    node: str
    code: str
    node_key: bytes
    engine_key: str
    server_key: bytes


class JoinAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine gets; with a password of the engine's cluster if it is to run a server of it.

    Attributes:
        fleet: The name of the fleet.
        first_sha256: The SHA-256 of the fleet's first change, or of the certificate of the node that makes it.
        servers: The servers of the engine.
        fleet_ca: The certificate of the fleet's CA (PEM).
        node_certificate: Its certificate as a node (PEM).
        token: Its token for the engine.
        server_chain: The certificate of its server, with the chain (PEM).
        engine: What a server of the engine needs; None: it runs none.
    """

    fleet: str
    first_sha256: str
    servers: list[str]
    fleet_ca: str
    node_certificate: str
    token: str
    server_chain: str
    engine: EngineFile | None


@dataclass(frozen=True, slots=True)
class Code:
    """What an operator types to join: the node's name, the secret, and the fingerprint of the server's CA."""

    node: str
    secret: str
    ca_sha256: str

    def __str__(self) -> str:
        """Return the code as it is typed."""
        return f"{self.node}.{self.secret}.{self.ca_sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """A node that is invited.

    Attributes:
        node: Its name.
        capabilities: What it may do.
        names: Host names and addresses that its users use, in addition to those of the local machine.
        addresses: Host names and addresses at which it runs a server of the engine; empty: it runs none.
    """

    node: str
    capabilities: tuple[Capability, ...] = ()
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """The keys of a machine that wants to be a node; they never leave it."""

    node_key: Ed25519PrivateKey
    server_key: ec.EllipticCurvePrivateKey
    seed: str

    def request(self, code: Code) -> JoinRequest:
        """Return what the machine sends."""
        return JoinRequest(
            node=code.node,
            code=code.secret,
            node_key=_spki(self.node_key.public_key()),
            engine_key=public_key_of(self.seed),
            server_key=_spki(self.server_key.public_key()),
        )


def make_applicant() -> Applicant:
    """Generate the keys of a machine that wants to be a node."""
    return Applicant(
        node_key=Ed25519PrivateKey.generate(),
        server_key=ec.generate_private_key(ec.SECP256R1()),
        seed=make_user_seed(),
    )


def parse_code(text: str) -> Code:
    """Parse what an operator typed.

    Raises:
        OperatorError: It is no code.
    """
    found = _CODE.fullmatch(text.strip().lower())
    if found is None:
        raise OperatorError("that is no code of an invitation; copy all of what telnetsd fleet invite printed")
    return Code(found[1], found[2], found[3])


def require_node_name(name: str) -> None:
    """Refuse what cannot be the name of a node or a fleet.

    Raises:
        OperatorError: It cannot.
    """
    if re.fullmatch(NODE_NAME_PATTERN, name) is None:
        raise OperatorError(f"not a name: {name[:64]!a}; use 1 to 32 of a-z, 0-9 and dash, starting with a letter")


def invite(home: Home, invited: Invited, who: Fields) -> Code:
    """Invite a machine to be a node, and return the code, which counts once and for a day.

    Args:
        home: The installation.
        invited: The node, and what it may do.
        who: The event fields that say who does this.
    Raises:
        OperatorError: There is a node of that name, or the fleet cannot be reached.
    """
    require_node_name(invited.node)
    for one in (*invited.names, *invited.addresses):
        require_host_name(one)
    node, capabilities = invited.node, invited.capabilities
    server_ca = (*load_server_ca(home), *load_roots(home))[0]
    code = Code(node, _make_secret(), certificate_sha256(server_ca))
    with changing(home, who) as change:
        fleet = change.state.fleet.require_membership().fleet
        if change.state.fleet.node(node) is not None:
            raise OperatorError(f"the fleet {fleet} has, or had, a node {node}; use another name")
        change.state.fleet.invite(
            Invitation(
                node=node,
                capabilities=capabilities,
                names=tuple(dict.fromkeys((*invited.names, *LOCAL_NAMES))),
                addresses=invited.addresses,
                code_sha256=_hash_of(code.secret),
                expires_at=change.at + timedelta(hours=INVITATION_HOURS),
            )
        )
        words = tuple(one.value for one in capabilities)
        names = ", ".join(invited.names) or "this machine alone"
        message = f"the node {node} was invited ({_shown(words)}), with a server for {names}"
        change.record(FleetNodeInvited(message=message, node=node, capabilities=words))
    return code


def admit(home: Home, fleet: FleetSettings, request: JoinRequest, who: Fields, ask: AskPassphrase) -> JoinAnswer:
    """Admit a machine that has the code of an invitation; the code counts no longer.

    Args:
        home: The installation of the node that has the keys of the fleet.
        fleet: Its configuration.
        request: What the machine sent.
        who: The event fields that say where it came from.
        ask: Asks for the passphrase of the CA's key.
    Raises:
        AdmissionError: It is not admitted.
        OperatorError: This node does not have the keys, or the fleet cannot be reached.
    """
    node_key, server_key = _parse_keys(request)
    with closing(open_store(home)) as state:
        # A machine without a valid code does not make others wait.
        _require_invitation(state, request, utc_now())
    keys, ca, issuer = load_authority_keys(home), _load_ca(home), load_server_issuer(home, ask)
    with changing(home, who) as change:
        invitation = _require_invitation(change.state, request, change.at)
        certificate = ca.issue_node(invitation.node, node_key, invitation.addresses, change.at)
        chain = encode_chain(issuer.certify_server(server_key, invitation.names, change.at), issuer)
        change.state.fleet.use_invitation(invitation.node)
        change.state.fleet.keep_node(
            FleetNode(
                name=invitation.node,
                life=1,
                capabilities=invitation.capabilities,
                certificate=certificate.public_bytes(Encoding.DER),
                engine_key=request.engine_key,
                added_at=change.at,
            )
        )
        words = tuple(one.value for one in invitation.capabilities)
        message = f"the node {invitation.node} joined the fleet ({_shown(words)})"
        change.record(FleetNodeAdmitted(message=message, node=invitation.node, capabilities=words, life=1))
        membership = change.state.fleet.require_membership()
    return JoinAnswer(
        fleet=membership.fleet,
        # Before there is a stream: the node alone that may begin it.
        first_sha256=membership.first_sha256 or f"{FOUNDER_PREFIX}{_sha256_of(home.fleet_node_certificate)}",
        servers=list(fleet.servers),
        fleet_ca=to_pem(ca.certificate).decode(),
        node_certificate=to_pem(certificate).decode(),
        token=sign_node_token(keys, invitation.node, request.engine_key, invitation.capabilities),
        server_chain=chain.decode(),
        engine=engine_file(keys, membership.fleet) if invitation.addresses else None,
    )


def accept(home: Home, node: str, applicant: Applicant, answer: JoinAnswer, listen: str) -> None:
    """Make a bare home folder a node of the fleet that has admitted it.

    Args:
        home: The home folder.
        node: The name of the node.
        applicant: Its keys.
        answer: What the fleet answered.
        listen: The address in the configuration; empty: the default.
    Raises:
        OperatorError: Something cannot be written.
    """
    make_folders(home)
    make_secret_folder(home.fleet_folder)
    token = Token(seed=applicant.seed, jwt=answer.token)
    write_secret(home.server_key, key_to_pem(applicant.server_key))
    write_public(home.server_certificate, answer.server_chain.encode())
    make_audit_key(home)
    if answer.engine is not None:
        write_secret(home.fleet_engine_file, msgspec.json.encode(answer.engine))
    write_secret(home.fleet_node_key, key_to_pem(applicant.node_key))
    write_secret(home.fleet_engine_token, msgspec.json.encode(token))
    write_public(home.fleet_ca_certificate, answer.fleet_ca.encode())
    with closing(open_store(home, create=True)) as state, state.transaction():
        state.fleet.join(Membership(fleet=answer.fleet, node=node, first_sha256=answer.first_sha256))
    if not home.config_file.exists():
        write_public(home.config_file, template(listen).encode() + fleet_section(node, answer).encode())
    # This file is written last: a home folder that has it is a node.
    write_public(home.fleet_node_certificate, answer.node_certificate.encode())


def fleet_section(node: str, answer: JoinAnswer) -> str:
    """Return the part of telnetsd.toml that names the fleet."""
    servers = ", ".join(f'"{server}"' for server in answer.servers)
    return f'\n[fleet]\nname = "{answer.fleet}"\nnode = "{node}"\nservers = [{servers}]\n'


def require_bare(home: Home) -> None:
    """Refuse to join with a home folder that is in use.

    Raises:
        OperatorError: It is.
    """
    for path in (home.fleet_node_certificate, home.ca_certificate, home.state_file):
        if path.exists():
            raise OperatorError(f"{path} exists; join with an empty home folder: --home DIR")


def _require_invitation(state: Store, request: JoinRequest, at: datetime) -> Invitation:
    """Return the invitation whose code a machine has.

    Raises:
        AdmissionError: It has none.
    """
    invitation = state.fleet.invitation(request.node)
    expected = invitation.code_sha256 if invitation is not None else ""
    is_right = hmac.compare_digest(_hash_of(request.code), expected)
    if invitation is None or not is_right or invitation.expires_at < at:
        raise AdmissionError("the code is wrong, used up, or older than a day; ask for another invitation")
    return invitation


def _parse_keys(request: JoinRequest) -> tuple[Ed25519PublicKey, ec.EllipticCurvePublicKey]:
    """Return the public keys of a machine: of the node, and of its server.

    Raises:
        AdmissionError: Something in the request is not what a machine of this version sends.
    """
    try:
        node_key, server_key = load_der_public_key(request.node_key), load_der_public_key(request.server_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise AdmissionError(f"the request to join cannot be read: {error}") from error
    is_p256 = isinstance(server_key, ec.EllipticCurvePublicKey) and isinstance(server_key.curve, ec.SECP256R1)
    if not isinstance(node_key, Ed25519PublicKey) or not is_p256 or not is_user_key(request.engine_key):
        raise AdmissionError("the request to join has a key of another kind; use the same version on all machines")
    return node_key, cast("ec.EllipticCurvePublicKey", server_key)


def _load_ca(home: Home) -> Authority:
    """Load the CA of the fleet.

    Raises:
        OperatorError: Its key is not on this machine, or cannot be read.
    """
    require_secret(home, home.fleet_ca_key, "do this on the node that founded the fleet")
    certificate = load_fleet_ca(home)
    try:
        return Authority(certificate, key_from_pem(home.fleet_ca_key.read_bytes()), (certificate,))
    except (OSError, ValueError) as error:
        raise OperatorError(f"cannot read {home.shown(home.fleet_ca_key)}: {error}; restore a backup") from error


def _make_secret() -> str:
    text = b32encode(secrets.token_bytes(_CODE_BYTES)).decode().rstrip("=").lower()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def _hash_of(secret: str) -> str:
    return sha256(secret.lower().encode()).hexdigest()


def _spki(key: Ed25519PublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _sha256_of(certificate: Path) -> str:
    return certificate_sha256(x509.load_pem_x509_certificate(certificate.read_bytes()))


def _shown(words: tuple[str, ...]) -> str:
    return ", ".join(words) or "without capabilities"
