"""Why: the enumerated words of `event.reason`, but for those that come with a certificate or a handshake.

Those are in `identity.outcome`, `pki.path_reason`, `pki.crl` and `tls.reason`.
"""

from enum import StrEnum


class AdmissionReason(StrEnum):
    """Why a connection was or was not taken, beside the reasons of its identity."""

    IDENTIFIED = "identified"
    TOO_MANY_SESSIONS = "too-many-sessions"
    SERVER_STOPPED = "server-stopped"
    INTERNAL_ERROR = "internal-error"


class EndReason(StrEnum):
    """Why a session ended."""

    QUIT = "quit"
    END_OF_INPUT = "end-of-input"
    CONNECTION_CLOSED = "connection-closed"
    CONNECTION_LOST = "connection-lost"
    IDLE_TIMEOUT = "idle-timeout"
    MAX_TIME = "max-time"
    CERTIFICATE_EXPIRED = "certificate-expired"
    NOT_MAPPED = "no-user-mapped"
    OTHER_USER = "other-user-mapped"
    LINE_ENDLESS = "line-endless"
    LINE_ENDED = "line-ended"
    HTTP_REQUEST = "http-request"
    KICKED = "kicked"
    SERVER_STOPPED = "server-stopped"
    INTERNAL_ERROR = "internal-error"
    WORKER_LOST = "worker-lost"
    SERVER_LOST = "server-lost"


class LimitReason(StrEnum):
    """Which limit slows a session down, or refuses what guests want."""

    TOO_MANY_LINES = "too-many-lines"
    LOG_FILLED = "log-filled"


class CommandReason(StrEnum):
    """How a typed line fared."""

    PERMITTED = "permitted"
    UNKNOWN_COMMAND = "unknown-command"
    ROLE_MISSING = "role-missing"
    CLASS_TOO_LOW = "class-too-low"
    WRONG_USAGE = "wrong-usage"
    NOT_FOUND = "not-found"
    LINE_TOO_LONG = "line-too-long"
    LINE_NOT_UTF8 = "line-not-utf8"
    GIVEN_UP = "given-up"
    UNEXPECTED_TEXT = "unexpected-text"
    SESSION_ENDED = "session-ended"
    INTERNAL_ERROR = "internal-error"


class ProgramReason(StrEnum):
    """Why a command that runs a program failed."""

    NOT_STARTED = "program-not-started"
    FAILED = "program-failed"
    TIMEOUT = "program-timeout"
    OUTPUT_TOO_LONG = "program-output-too-long"


class EnrolmentReason(StrEnum):
    """Why the desk says no."""

    CLOSED = "enrolment-closed"
    BUSY = "desk-busy"
    NAME_REFUSED = "name-refused"
    KEY_REFUSED = "key-refused"
    TOO_MANY_FROM_SOURCE = "too-many-from-source"
    TOO_MANY = "too-many-requests"
    ALREADY_REQUESTED = "already-requested"
    NO_REQUEST = "no-request"
    NOT_DECIDED = "not-decided"
    DENIED = "denied"
    WRONG_CODE = "wrong-code"
    NOTHING_TO_COLLECT = "nothing-to-collect"
    NOT_RENEWABLE = "not-renewable"
    TOO_EARLY = "too-early"
    ALREADY_RENEWED = "already-renewed"
    SAME_KEY = "same-key"
    GAVE_WAY = "gave-way"


class LineReason(StrEnum):
    """Why somebody is, is not, or is no longer connected to a line."""

    WRITING = "writing"
    WATCHING = "watching"
    TAKEN_OVER = "taken-over"
    HANDED_OVER = "handed-over"
    LEFT = "left"
    SESSION_ENDED = "session-ended"
    UPSTREAM_CLOSED = "upstream-closed"
    UPSTREAM_LOST = "upstream-lost"
    UNREACHABLE = "line-unreachable"
    IN_USE = "line-in-use"
    NOT_SHARED = "line-not-shared"
    NOT_IN_USE = "line-not-in-use"
    TOO_SLOW = "too-slow"
    TOO_MANY = "too-many-watchers"
    IDLE_TIMEOUT = "idle-timeout"
    MAX_TIME = "max-time"
    REMOVED = "line-removed"
    WITHDRAWN = "line-withdrawn"
    RECORDING_FAILED = "recording-failed"
    NOT_RECORDED = "not-recorded"
    WORKER_LOST = "worker-lost"


class ServerReason(StrEnum):
    """Why a server started or stopped."""

    STARTED = "started"
    SIGNAL = "signal"


class ReloadReason(StrEnum):
    """Why a server reloads."""

    OPERATOR = "operator"
    SIGNAL = "signal"
    FILES_CHANGED = "files-changed"


class CheckpointReason(StrEnum):
    """Why a checkpoint was signed. The first and the last word prove where a file begins and ends."""

    FILE_OPENED = "file-opened"
    EVENTS = "checkpoint-events"
    INTERVAL = "checkpoint-interval"
    REQUESTED = "checkpoint-requested"
    SERVER_STOPPED = "server-stopped"
    ROTATION = "rotation"


class RecoveryReason(StrEnum):
    """What a writer found when it came back to the log, and set right without a loss."""

    TORN_LINE = "torn-line"
    UNSEALED_LINES = "unsealed-lines"
    FILE_DELETED = "file-deleted"
    WRITABLE_AGAIN = "writable-again"


class DamageReason(StrEnum):
    """What a writer found when it came back to the log, and cannot be set right."""

    LOG_MISSING = "log-missing"
    LINES_MISSING = "lines-missing"
    LAST_LINE_CHANGED = "last-line-changed"
    SEAL_MISSING = "seal-missing"
    SEAL_CHANGED = "seal-changed"


class RetentionReason(StrEnum):
    """Why rotated files were removed."""

    AGE = "retention-days"
    SIZE = "retention-bytes"


class ShippingReason(StrEnum):
    """Why events did not reach a collector."""

    TOO_FAR_BEHIND = "too-far-behind"
    MISSING = "lines-missing"
    TOO_LONG = "event-too-long"


class Reason(StrEnum):
    """The reasons that are the log's own; the other stages bring theirs."""

    OK = "ok"
    INTERRUPTED = "interrupted"
    WRONG_CONFIGURATION = "wrong-configuration"
