"""What the state knows about a fleet: its nodes, who is invited, and which change of the fleet was applied last."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final


class Capability(StrEnum):
    """What a node of a fleet may do, beyond reading the state and taking access away."""

    GIVE = "give"
    """Make any change."""
    ISSUE = "issue"
    """Sign with the CA's key, for itself and for other nodes."""
    AUDIT = "audit"
    """Read the audit log of the whole fleet."""
    OFFER_LINES = "offer-lines"
    """Let sessions of other nodes use its lines."""
    VOUCH = "vouch"
    """Tell the owner of a line who its visitors are."""


KEYS_KEPT: Final = 100_000
"""For how many positions it is remembered which changes the stream had: a notice, or an attacker, may be late."""
EVERY_CAPABILITY: Final = tuple(Capability)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetNode:
    """One node.

    Attributes:
        name: Its name.
        life: How often a node of this name has joined: 1 for the first.
        capabilities: What it may do.
        certificate: Its certificate, from the CA of the fleet (DER).
        engine_key: The public key of its token for the engine.
        added_at: When it joined.
        revoked_at: Since when nothing that it signs counts; None: it does.
    """

    name: str
    life: int
    capabilities: tuple[Capability, ...]
    certificate: bytes
    engine_key: str
    added_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """The right of a machine that knows a code to join once, as one node.

    Attributes:
        node: The name of the node.
        capabilities: What it may do.
        names: Host names and addresses that its users use; the certificate of its server has them.
        addresses: Host names and addresses at which it runs a server of the engine; empty: it runs none.
        code_sha256: The SHA-256 of the code (hexadecimal).
        expires_at: Until when.
    """

    node: str
    capabilities: tuple[Capability, ...]
    names: tuple[str, ...]
    addresses: tuple[str, ...] = ()
    code_sha256: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Our place in a fleet.

    Attributes:
        fleet: The name of the fleet.
        node: Our name in it.
        is_founding: Whether the fleet has no stream yet: what is changed here is its first state.
        first_sha256: The SHA-256 of the first change of the fleet (hexadecimal); empty: not known yet.
        sequence: The position in the stream of the last change that is in our tables; 0: none.
        sha256: The SHA-256 of that change (hexadecimal), which the next one names; empty: none.
    """

    fleet: str
    node: str
    is_founding: bool = False
    first_sha256: str = ""
    sequence: int = 0
    sha256: str = ""
