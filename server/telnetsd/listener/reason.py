"""Why a raw connection is turned away before its handshake."""

from enum import StrEnum


class TurnedAwayReason(StrEnum):
    """Which limit it has met; a word of `event.reason`."""

    TOO_MANY_CONNECTIONS = "too-many-connections"
    TOO_MANY_HANDSHAKES = "too-many-handshakes"
    TOO_MANY_HANDSHAKES_FROM_SOURCE = "too-many-handshakes-from-source"
    TOO_MANY_FROM_SOURCE = "too-many-from-source"
    TOO_MANY_FROM_NETWORK = "too-many-from-network"
    PENALTY = "source-penalised"
    NETWORK_PENALTY = "network-penalised"
    WRONG_PROXY_HEADER = "wrong-proxy-header"
