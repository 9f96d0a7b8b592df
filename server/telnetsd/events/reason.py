"""Reasons: every word that `event.reason` may be, with the sentence that explains it and what to do about it.

A released word is never changed, since collectors rely on it. The sentence is for people: it appears in the document
of the audit log and, if a peer is shown the reason, on the peer's screen.
"""

from enum import StrEnum
from typing import Self

ASK_FOR_CERTIFICATE = "ask the operator for a new certificate"
USE_GIVEN_CERTIFICATE = "connect with a certificate that the operator gave you"


class Reason(StrEnum):
    """A reason: its word, a sentence, and a remedy (empty where there is nothing to do).

    The sentence of a refusal has placeholders in braces for what the certificate says: see `session.greeting`.
    """

    _value_: str
    sentence: str
    remedy: str

    def __new__(cls, word: str, sentence: str = "", remedy: str = "") -> Self:
        """Make a member.

        Raises:
            TypeError: It has no sentence.
        """
        if not sentence:
            raise TypeError(f"the reason {word!r} has no sentence")
        member = str.__new__(cls, word)
        member._value_ = word
        member.sentence = sentence
        member.remedy = remedy
        return member


class CertificateStatus(StrEnum):
    """The status of the presented certificate, if there was one: not a reason, but a fact beside it."""

    NONE = "none"
    VERIFIED = "verified"
    PROVISIONAL = "provisional"
    REJECTED = "rejected"


class RevocationReason(StrEnum):
    """Why a certificate was revoked (RFC 5280 section 5.3.1); `removeFromCRL` is not a reason but ends a hold."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "cACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"
    AA_COMPROMISE = "aACompromise"


# Connections, before anything is known about the client.


class TurnedAwayReason(Reason):
    """Which limit a raw connection reached before its handshake."""

    TOO_MANY_CONNECTIONS = (
        "too-many-connections",
        "more connections are open than [listener] max_connections allows",
    )
    TOO_MANY_HANDSHAKES = (
        "too-many-handshakes",
        "more handshakes are in progress than [limits] handshakes_begin allows",
    )
    TOO_MANY_HANDSHAKES_FROM_SOURCE = (
        "too-many-handshakes-from-source",
        "too many handshakes of one source or network are in progress",
    )
    TOO_MANY_FROM_SOURCE = (
        "too-many-from-source",
        "more connections come from one source than [limits] per_source allows",
    )
    TOO_MANY_FROM_NETWORK = (
        "too-many-from-network",
        "more connections come from one network than [limits] per_network allows",
    )
    PENALTY = "source-penalised", "too many connections from this source have failed recently"
    NETWORK_PENALTY = (
        "network-penalised",
        "too many connections from other sources in its network have failed recently",
    )
    WRONG_PROXY_HEADER = "wrong-proxy-header", "a proxy did not say which client it speaks for"


class TlsReason(Reason):
    """Why a handshake, or a connection after it, failed."""

    PLAIN_TEXT = "plain-text", "a plain-text client was told that this is a TLS port"
    TIMEOUT = "handshake-timeout", "the TLS handshake took too long"
    TOO_LONG = (
        "handshake-too-long",
        "the client sent more for its TLS handshake than [tls] handshake_max_bytes allows",
    )
    CONNECTION_CLOSED = "connection-closed", "the connection was closed before the TLS handshake was complete"
    UNSUPPORTED_VERSION = "unsupported-version", "the client supports no TLS version that this server accepts"
    NOTHING_IN_COMMON = (
        "nothing-in-common",
        "client and server have no cipher, group or signature algorithm in common",
    )
    SERVER_CERTIFICATE_REJECTED = (
        "server-certificate-rejected",
        "the client does not trust the server's certificate",
    )
    WEB_CLIENT = "web-client", "the client offered HTTP by ALPN; a web page must not speak to a telnet server"
    PEER_ALERT = "peer-alert", "the client aborted the TLS handshake"
    PROTOCOL_ERROR = "protocol-error", "the client broke the TLS protocol"


# Which clients are admitted, and which are not.


class GuestReason(Reason):
    """Why a client is a guest and not a named user; a refusal if an endpoint requires a certificate."""

    NO_CERTIFICATE = (
        "no-certificate",
        "your client presented no certificate, and this server requires one",
        "ask the operator for a certificate",
    )
    UNMAPPED = (
        "no-user-mapped",
        "your certificate is valid ({subject}), but no user is mapped to it",
        "ask the operator to add you",
    )
    SELF_SIGNED = (
        "self-signed-not-pinned",
        "your certificate is self-signed ({subject}), and the operator has not accepted it",
        "ask the operator for a certificate",
    )


class PathReason(Reason):
    """Why no path leads from the client's certificate to a trust anchor."""

    MALFORMED = "certificate-malformed", "your certificate cannot be read{fault}", ASK_FOR_CERTIFICATE
    EXPIRED = "certificate-expired", "your certificate ({subject}) expired on {not_after}", ASK_FOR_CERTIFICATE
    NOT_YET_VALID = (
        "certificate-not-yet-valid",
        "your certificate ({subject}) is not valid before {not_before}",
        "come back then, or ask the operator",
    )
    SELF_SIGNED = (
        "self-signed-not-pinned",
        "your certificate is self-signed ({subject}), and the operator has not accepted it",
        "ask the operator for a certificate",
    )
    UNKNOWN_ISSUER = (
        "unknown-issuer",
        "your certificate ({subject}) was issued by {issuer}, which this server does not trust",
        USE_GIVEN_CERTIFICATE,
    )
    BAD_SIGNATURE = (
        "bad-signature",
        "your certificate ({subject}) names {issuer} as its issuer, but was not signed by it",
        USE_GIVEN_CERTIFICATE,
    )
    CA_CERTIFICATE = (
        "ca-certificate",
        "your certificate ({subject}) belongs to a certification authority, which is never a user",
        "connect with your own certificate",
    )
    WRONG_PURPOSE = (
        "wrong-purpose",
        "your certificate ({subject}) was not issued for clients to log in with",
        ASK_FOR_CERTIFICATE,
    )
    WEAK_KEY = (
        "weak-key",
        "the key of your certificate ({subject}: {key}) is too weak or not accepted",
        ASK_FOR_CERTIFICATE,
    )
    UNSUPPORTED_KEY = (
        "unsupported-key",
        "the key of your certificate ({subject}: {key}) is of a kind that is not supported",
        ASK_FOR_CERTIFICATE,
    )
    WEAK_SIGNATURE = (
        "weak-signature",
        "the signature on your certificate ({subject}) is of a kind that is too weak",
        ASK_FOR_CERTIFICATE,
    )
    BAD_SERIAL_NUMBER = (
        "bad-serial-number",
        "the serial number of your certificate ({subject}) is not one that a certificate can have",
        ASK_FOR_CERTIFICATE,
    )
    UNKNOWN_CRITICAL_EXTENSION = (
        "unknown-critical-extension",
        "your certificate ({subject}) carries a critical extension that this server does not know{fault}",
        ASK_FOR_CERTIFICATE,
    )
    BAD_PATH = (
        "bad-path",
        "the path from your certificate ({subject}) to a trusted authority is not valid{fault}",
        ASK_FOR_CERTIFICATE,
    )


class StatusReason(Reason):
    """Why a certificate with a valid path is rejected."""

    REVOKED = (
        "certificate-revoked",
        "your certificate ({subject}) was revoked on {since} ({why})",
        "ask the operator",
    )
    ON_HOLD = "certificate-on-hold", "your certificate ({subject}) is on hold since {since}", "ask the operator"
    UNKNOWN = (
        "revocation-status-unknown",
        "no current CRL says whether your certificate ({subject}) was revoked",
        "tell the operator",
    )


class EndpointReason(Reason):
    """Why a client that may connect to the server is refused at this address."""

    ROLE = (
        "role-not-taken-here",
        "this address of the server is closed to your roles",
        "connect to another address, or ask the operator",
    )


RefusalReason = PathReason | StatusReason | GuestReason | EndpointReason
"""Why a client is refused: no path, revoked, a guest where guests are not admitted, or no role for the address."""


class AdmissionReason(Reason):
    """Why a connection was admitted or not, besides the reasons of its identity."""

    IDENTIFIED = "identified", "a verified certificate named the user"
    TOO_MANY_SESSIONS = "too-many-sessions", "the user has, or guests have, too many sessions open"
    SERVER_STOPPED = "server-stopped", "the server is stopping"
    FLEET_STALE = "fleet-stale", "the server was cut off from its fleet for longer than on_stale allows"
    INTERNAL_ERROR = "internal-error", "the server failed; the cause is in its output"


class EndReason(Reason):
    """Why a session ended; if the certificate was rejected meanwhile, it is the reason of a refusal."""

    QUIT = "quit", "the user left"
    END_OF_INPUT = "end-of-input", "the client sent the end of its input"
    CONNECTION_CLOSED = "connection-closed", "the client closed the connection"
    CONNECTION_LOST = "connection-lost", "the connection broke"
    IDLE_TIMEOUT = "idle-timeout", "nothing was typed for too long: this session ends"
    MAX_TIME = "max-time", "this session has reached its maximum time and ends; connect again"
    CERTIFICATE_EXPIRED = "certificate-expired", "your certificate has expired: this session ends"
    NOT_MAPPED = "no-user-mapped", "no user is mapped to your certificate any longer: this session ends"
    OTHER_USER = (
        "other-user-mapped",
        "your certificate now maps to another user: this session ends; connect again",
    )
    LINE_ENDLESS = "line-endless", "a line was typed that did not end"
    LINE_ENDED = "line-ended", "the line that the session was connected to has ended"
    HTTP_REQUEST = "http-request", "the client sent an HTTP request, as a web page makes a browser do"
    KICKED = "kicked", "an operator ended the session"
    SERVER_STOPPED = "server-stopped", "the server is stopping"
    INTERNAL_ERROR = "internal-error", "the server failed; the cause is in its output"
    WORKER_LOST = "worker-lost", "the process that served the session ended unexpectedly"
    SERVER_LOST = "server-lost", "the server ended unexpectedly; written when it started again"


class LimitReason(Reason):
    """Which limit slows a session down, or causes the requests of guests to be refused."""

    TOO_MANY_LINES = "too-many-lines", "lines came faster than [limits] allows"
    LOG_FILLED = (
        "log-filled",
        "guests from your network have used up their share of the audit log",
        "connect with a certificate, or in an hour",
    )


# Commands and lines.


class CommandReason(Reason):
    """What happened to a typed line, and why."""

    PERMITTED = "permitted", "the user may run the command"
    UNKNOWN_COMMAND = "unknown-command", "there is no such command"
    ROLE_MISSING = "role-missing", "the user has no role that has the command"
    CLASS_TOO_LOW = "class-too-low", "the command requires a higher assurance class"
    WRONG_USAGE = "wrong-usage", "the command does not accept these arguments"
    NOT_FOUND = "not-found", "the command was given something that does not exist"
    LINE_TOO_LONG = "line-too-long", "the line is longer than a command may be"
    LINE_NOT_UTF8 = "line-not-utf8", "the line is not UTF-8"
    BUSY = "command-busy", "as many sessions as allowed run the command already"
    GIVEN_UP = "given-up", "the answer to a question was cancelled, or too long"
    UNEXPECTED_TEXT = "unexpected-text", "a block of text was pasted where none was asked for"
    SESSION_ENDED = "session-ended", "the session ended before the command ran"
    INTERNAL_ERROR = "internal-error", "the server failed; the cause is in its output"


class ProgramReason(Reason):
    """Why a command that runs a program failed."""

    NOT_STARTED = "program-not-started", "the program could not be started"
    FAILED = "program-failed", "the program ended with an exit status other than 0"
    TIMEOUT = "program-timeout", "the program ran for too long and was stopped"
    OUTPUT_TOO_LONG = "program-output-too-long", "the program exceeded its output limit and was stopped"


class EnrolmentReason(Reason):
    """Why an enrolment request, or its collection, is refused."""

    CLOSED = "enrolment-closed", "enrolment is turned off"
    BUSY = "desk-busy", "too many requests are in progress"
    NAME_REFUSED = "name-refused", "the name cannot be requested"
    KEY_REFUSED = "key-refused", "the key is not accepted"
    TOO_MANY_FROM_SOURCE = "too-many-from-source", "the source has too many open requests"
    TOO_MANY = "too-many-requests", "too many requests are open"
    ALREADY_REQUESTED = "already-requested", "there is an open request for this key"
    NO_REQUEST = "no-request", "there is no such request"
    NOT_DECIDED = "not-decided", "the operator has not decided yet"
    DENIED = "denied", "the operator denied the request"
    WRONG_CODE = "wrong-code", "the code is wrong"
    NOTHING_TO_COLLECT = "nothing-to-collect", "the request needs no certificate to be collected"
    NOT_RENEWABLE = "not-renewable", "the certificate cannot be renewed here"
    TOO_EARLY = "too-early", "the certificate is valid for too long to be renewed yet"
    ALREADY_RENEWED = "already-renewed", "the certificate has been renewed already"
    SAME_KEY = "same-key", "the request has the key of another certificate"
    GAVE_WAY = "gave-way", "the request was dropped for one from a network with fewer requests"


class CsrReason(Reason):
    """Why a certification request is refused."""

    UNREADABLE = "csr-unreadable", "the certification request cannot be read"
    TOO_LONG = "csr-too-long", "the certification request is too long"
    BAD_SIGNATURE = "csr-bad-signature", "the request is not signed by the key in it"
    WEAK_SIGNATURE = "csr-weak-signature", "the request is signed with a hash that is too weak"
    WEAK_KEY = "csr-weak-key", "the key is too weak or not accepted"
    FOR_A_CA = "csr-for-a-ca", "the request is for a CA certificate"
    FOR_ANOTHER = "csr-for-another", "the request names another user"


class LineReason(Reason):
    """Why a session is, is not, or is no longer connected to a line."""

    WRITING = "writing", "the session writes to the line"
    WATCHING = "watching", "the session watches the line"
    TAKEN_OVER = "taken-over", "the session took over from another writer"
    HANDED_OVER = "handed-over", "the previous writer handed over"
    LEFT = "left", "the user left the line"
    SESSION_ENDED = "session-ended", "the session ended"
    UPSTREAM_CLOSED = "upstream-closed", "the upstream closed the connection"
    UPSTREAM_LOST = "upstream-lost", "the connection to the upstream broke"
    UNREACHABLE = "line-unreachable", "the upstream cannot be reached"
    IN_USE = "line-in-use", "another session uses the line"
    NOT_SHARED = "line-not-shared", "the line is not shared"
    NOT_IN_USE = "line-not-in-use", "no session uses the line, so there is nothing to watch"
    TOO_SLOW = "too-slow", "the watcher did not keep up with the line"
    TOO_MANY = "too-many-watchers", "the line has too many watchers"
    IDLE_TIMEOUT = "idle-timeout", "nothing was typed on the line for too long"
    MAX_TIME = "max-time", "the line reached its maximum time"
    REMOVED = "line-removed", "the operator removed or changed the line"
    WITHDRAWN = "line-withdrawn", "the user may no longer use the line"
    RECORDING_FAILED = "recording-failed", "the line cannot be recorded"
    NOT_RECORDED = "not-recorded", "the change of the writer could not be recorded"
    WORKER_LOST = "worker-lost", "the process that served the session ended unexpectedly"
    UPSTREAM_CONNECTED = "upstream-connected", "the upstream is connected"
    SERVER_STOPPED = "server-stopped", "the server stopped"
    TYPED = "typed", "a command was typed on the line, and the line showed it"
    OVERRUN = "overrun", "a serial port received faster than it was read"
    ALERT = "alert", "the line showed what an alert of the operator is for"
    FULL_SCREEN = "full-screen", "keys are typed to a program that uses the whole screen"
    FULL_SCREEN_ENDED = "full-screen-ended", "commands are typed on the line again"


# The server and its log.


class CommonReason(Reason):
    """Reasons of changes, most of which happen because they were requested."""

    OK = "ok", "it was done as asked"
    INTERRUPTED = "interrupted", "it was interrupted before it was complete"
    WRONG_CONFIGURATION = "wrong-configuration", "the configuration, or a file that it names, has an error"


class FleetChangeReason(Reason):
    """How a node of a fleet learned of a change."""

    IN_STREAM = "in-stream", "it is in the fleet's stream"
    URGENT = "urgent", "a node told the others directly, since it takes access away"


class FleetObjection(Reason):
    """Why a change of a node, or a machine that wants to be one, is refused."""

    UNKNOWN_NODE = "unknown-node", "no node of the fleet has that name"
    BAD_SIGNATURE = "bad-signature", "the node that it names did not sign it"
    NOT_ALLOWED = "not-allowed", "the node may not make such a change"
    CONTRADICTION = "contradiction", "it contradicts what was there before it"
    OTHER_HISTORY = "other-history", "its node had other changes before it than the others"


class FleetStop(Reason):
    """Why a node applies no more changes of its fleet."""

    OTHER_HISTORY = (
        "other-history",
        "a node that may make every change had other changes before it: the stream was rolled back, or forged",
        "run: telnetsd fleet status",
    )
    LOST_CHANGES = (
        "lost-changes",
        "the engine has lost changes that this node has",
        "on a node that has them: telnetsd fleet repair",
    )
    LEVEL = "level", "a change needs a newer telnetsd", "install the version that the other nodes have"
    UNREADABLE = "unreadable", "a change of a node that may make every change cannot be applied"


class ServerReason(Reason):
    """Why a server started or stopped."""

    STARTED = "started", "it was started"
    SIGNAL = "signal", "a signal ended it"


class ReloadReason(Reason):
    """Why a server reloads."""

    OPERATOR = "operator", "an operator asked for it"
    SIGNAL = "signal", "it received SIGHUP"
    FILES_CHANGED = "files-changed", "a watched file has changed"


class CrlProblem(Reason):
    """Why a CRL is not accepted as the current one of its CA."""

    UNREADABLE = "crl-unreadable", "the CRL cannot be read", "replace it"
    UNSUPPORTED = (
        "crl-unsupported",
        "the CRL is of a kind that is not supported (delta, indirect or partial)",
        "use a full CRL",
    )
    UNKNOWN_ISSUER = (
        "crl-of-unknown-issuer",
        "the CRL is of {issuer}, but no certificate of that CA is here",
        "it counts only for clients that send the certificate",
    )
    BAD_SIGNATURE = "crl-bad-signature", "the CRL is not signed by {issuer}", "replace it"
    EXPIRED = "crl-expired", "the CRL of {issuer} expired on {next_update}", "fetch a new one"
    NOT_YET_VALID = (
        "crl-not-yet-valid",
        "the CRL of {issuer} is not valid before {this_update}",
        "wait, or check the clock",
    )


class CheckpointReason(Reason):
    """Why a checkpoint was signed; the first and the last reason prove where a file begins and ends."""

    FILE_OPENED = "file-opened", "a file of the audit log begins"
    EVENTS = "checkpoint-events", "the audit log was signed"
    INTERVAL = "checkpoint-interval", "the audit log was signed"
    REQUESTED = "checkpoint-requested", "the audit log was signed for an operator"
    SERVER_STOPPED = "server-stopped", "the audit log was signed as the server stopped"
    ROTATION = "rotation", "the audit log was signed, and this file of it is complete"


class RecoveryReason(Reason):
    """What a writer found when it returned to the log, and repaired without a loss."""

    TORN_LINE = "torn-line", "the last line was incomplete and was removed"
    UNSEALED_LINES = "unsealed-lines", "complete lines were not sealed yet"
    FILE_DELETED = "file-deleted", "the log file was missing; the rotated files are complete"
    WRITABLE_AGAIN = "writable-again", "the log could not be written for a while"


class DamageReason(Reason):
    """What a writer found when it returned to the log, and cannot repair."""

    LOG_MISSING = "log-missing", "the log and its seal are missing"
    LINES_MISSING = "lines-missing", "sealed lines are missing"
    LAST_LINE_CHANGED = "last-line-changed", "the last sealed line was changed"
    SEAL_MISSING = "seal-missing", "the seal is missing"
    SEAL_CHANGED = "seal-changed", "the seal was changed"


class RetentionReason(Reason):
    """Why rotated files of the log, or recordings, are removed."""

    AGE = "retention-days", "the file is older than retention_days allows"
    SIZE = "retention-bytes", "the files are larger together than retention_bytes allows"


class ExpiryReason(Reason):
    """How near the end of a certificate of the server or of its CA is."""

    SOON = "expires-soon", "it expires soon", "renew it: telnetsd ca renew-server, or telnetsd ca rotate"
    OVER = "has-expired", "it has expired", "renew it: telnetsd ca renew-server, or telnetsd ca rotate"


class NotifyReason(Reason):
    """Why a notification is not delivered."""

    UNREACHABLE = "webhook-unreachable", "the webhook cannot be reached, or is not trusted"
    REFUSED = "webhook-refused", "the webhook answers with another status than success"
    TIMEOUT = "not-in-time", "the program or the webhook takes too long"
    PROGRAM_FAILED = "notify-program-failed", "the program cannot be started, or fails"


class ShippingReason(Reason):
    """Why events did not reach a collector."""

    TOO_FAR_BEHIND = "too-far-behind", "the collector is too far behind the log"
    MISSING = "lines-missing", "the lines are no longer in the log"
    TOO_LONG = "event-too-long", "the event is longer than the collector accepts"


def sentence_of(word: str) -> str:
    """Return the sentence of a reason; empty for a word that is none here, such as one of another package."""
    return next((one.sentence for kind in Reason.__subclasses__() for one in kind if one.value == word), "")
