"""Events of the server and of its log."""

from typing import ClassVar, Literal

from telnetsd.events import fields as f
from telnetsd.events.event import Event
from telnetsd.events.reason import (
    CheckpointReason,
    CommonReason,
    DamageReason,
    ExpiryReason,
    NotifyReason,
    RecoveryReason,
    ReloadReason,
    RetentionReason,
    ServerReason,
    ShippingReason,
)


class ServerStarted(Event):
    """The server listens."""

    action: ClassVar = "server-started"
    reason: Literal[ServerReason.STARTED] = ServerReason.STARTED


class ServerStopped(Event):
    """The server has stopped."""

    action: ClassVar = "server-stopped"
    reason: Literal[ServerReason.SIGNAL] = ServerReason.SIGNAL


class ServerReloaded(Event):
    """The server uses a new load of configuration, trust and state."""

    action: ClassVar = "server-reloaded"
    reason: ReloadReason
    operator: f.OperatorName


class ReloadFailed(Event):
    """A reload found an error, and changed nothing."""

    action: ClassVar = "reload-failed"
    reason: Literal[CommonReason.WRONG_CONFIGURATION] = CommonReason.WRONG_CONFIGURATION
    operator: f.OperatorName


class AuditCheckpoint(Event):
    """The log was signed; this also happens where a file of it begins, and where a rotated one ends."""

    action: ClassVar = "audit-checkpoint"
    reason: CheckpointReason
    key_id: f.CheckpointKeyId
    algorithm: f.CheckpointAlgorithm = "Ed25519"


class AuditRecovered(Event):
    """A fault of the log was repaired."""

    action: ClassVar = "audit-recovered"
    reason: RecoveryReason
    file: f.FileName | None = None
    lines: f.AuditLines | None = None
    since: f.AuditSince | None = None
    late: f.AuditLate | None = None
    lost: f.AuditLost | None = None


class AuditDamaged(Event):
    """The log is not as the last writer left it, and cannot be repaired."""

    action: ClassVar = "audit-damaged"
    reason: DamageReason
    lines: f.AuditLines | None = None


class AuditPruned(Event):
    """A rotated file is about to be removed, because it is too old or the files are too large together."""

    action: ClassVar = "audit-pruned"
    reason: RetentionReason
    file: f.FileName
    first_sequence: f.AuditFirstSequence
    last_sequence: f.AuditLastSequence
    last_sha256: f.AuditLastSha256


class AuditKeyChanged(Event):
    """Another audit key signs from now on."""

    action: ClassVar = "audit-key-changed"
    reason: Literal[CommonReason.OK] = CommonReason.OK
    key_id: f.AuditKeyId


class AuditNotShipped(Event):
    """Events did not reach a collector; they are in the log."""

    action: ClassVar = "audit-not-shipped"
    reason: ShippingReason
    collector: f.CollectorName
    first_sequence: f.AuditFirstSequence
    last_sequence: f.AuditLastSequence


class NotificationFailed(Event):
    """Notifications of events are not delivered; the events are in the log."""

    action: ClassVar = "notification-failed"
    reason: NotifyReason
    name: f.NotifyName


class CertificateExpiring(Event):
    """A certificate of the server or of its CA expires soon, or has expired; recorded once a day."""

    action: ClassVar = "certificate-expiring"
    reason: ExpiryReason
    file: f.FileName
