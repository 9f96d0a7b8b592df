"""Why a handshake failed: the words that the audit log has for it."""

from enum import StrEnum


class TlsReason(StrEnum):
    """Why a handshake, or a connection after it, failed."""

    PLAIN_TEXT = "plain-text"
    TIMEOUT = "handshake-timeout"
    TOO_LONG = "handshake-too-long"
    CONNECTION_CLOSED = "connection-closed"
    UNSUPPORTED_VERSION = "unsupported-version"
    NOTHING_IN_COMMON = "nothing-in-common"
    SERVER_CERTIFICATE_REJECTED = "server-certificate-rejected"
    WEB_CLIENT = "web-client"
    PEER_ALERT = "peer-alert"
    PROTOCOL_ERROR = "protocol-error"
