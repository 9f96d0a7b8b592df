"""Events of connections, sessions, commands and lines."""

from enum import StrEnum
from typing import ClassVar, Literal

from telnetsd.events import context
from telnetsd.events import fields as f
from telnetsd.events.event import Event
from telnetsd.events.part import Part
from telnetsd.events.reason import (
    AdmissionReason,
    CommandReason,
    CommonReason,
    CsrReason,
    EndReason,
    EnrolmentReason,
    GuestReason,
    LimitReason,
    LineReason,
    ProgramReason,
    RefusalReason,
    RetentionReason,
    TlsReason,
    TurnedAwayReason,
)

ConnectedReason = Literal[LineReason.WRITING, LineReason.WATCHING, LineReason.TAKEN_OVER, LineReason.HANDED_OVER]
"""How a session is connected to a line."""
DownReason = Literal[
    LineReason.UPSTREAM_CLOSED,
    LineReason.UPSTREAM_LOST,
    LineReason.UNREACHABLE,
    LineReason.REMOVED,
    LineReason.SERVER_STOPPED,
]
"""Why the upstream of a kept-open line is not connected."""


class SessionStarted(Event):
    """A session starts, for a named user or for a guest with the reason."""

    action: ClassVar = "session-started"
    reason: Literal[AdmissionReason.IDENTIFIED] | GuestReason
    handshake_s: f.HandshakeS
    cut_off_since: f.FleetCutOffSince | None = None
    certificate: context.CertificatePart | None = None


class SessionContinued(Event):
    """A session was open when this file of the log began; its certificate is repeated."""

    action: ClassVar = "session-continued"
    reason: Literal[CommonReason.OK] = CommonReason.OK


class SessionEnded(Event):
    """A session is over."""

    action: ClassVar = "session-ended"
    reason: EndReason | RefusalReason


class SessionRefused(Event):
    """A client is refused."""

    action: ClassVar = "session-refused"
    reason: AdmissionReason | RefusalReason
    certificate: context.CertificatePart | None = None
    revocation: context.RevocationPart | None = None
    fault: context.PathFault | None = None


class SessionKicked(Event):
    """An operator ends a session."""

    action: ClassVar = "session-kicked"
    reason: Literal[EndReason.KICKED] = EndReason.KICKED
    operator: f.OperatorName


class SessionWatched(Event):
    """An operator begins to watch a session."""

    action: ClassVar = "session-watched"
    reason: Literal[CommonReason.OK] = CommonReason.OK
    operator: f.OperatorName


class SessionSlowed(Event):
    """A session types faster than allowed, and is read more slowly from now on; recorded once per session."""

    action: ClassVar = "session-slowed"
    reason: Literal[LimitReason.TOO_MANY_LINES] = LimitReason.TOO_MANY_LINES


class GuestsRefused(Event):
    """Guests and refused clients from one source have used up their share of the log for an hour.

    Their further requests are refused with a message, and are counted every ten seconds.
    """

    action: ClassVar = "guests-refused"
    reason: Literal[LimitReason.LOG_FILLED] = LimitReason.LOG_FILLED
    connections: f.Connections
    commands: f.Commands


class HandshakeFailed(Event):
    """A TLS handshake was not completed; beyond a thousand in ten seconds, handshakes are counted by reason."""

    action: ClassVar = "handshake-failed"
    reason: TlsReason
    connections: f.Connections | None = None


class ConnectionRefused(Event):
    """Connections are refused before their handshake: the first from a source is recorded at once, others counted."""

    action: ClassVar = "connection-refused"
    reason: TurnedAwayReason
    connections: f.Connections


class CommandExecuted(Event):
    """A command is about to run; the event is written before it does."""

    action: ClassVar = "command-executed"
    reason: Literal[CommandReason.PERMITTED] = CommandReason.PERMITTED
    name: f.CommandName
    line: f.CommandLine


class CommandDenied(Event):
    """A typed line was refused; a command of another package may have its own reasons."""

    action: ClassVar = "command-denied"
    reason: CommandReason | StrEnum
    name: f.CommandName
    line: f.CommandLine


class CommandFailed(Event):
    """A command that ran has failed; a command of another package may have its own reasons."""

    action: ClassVar = "command-failed"
    reason: CommandReason | EnrolmentReason | CsrReason | LineReason | ProgramReason | StrEnum
    name: f.CommandName
    line: f.CommandLine
    exit_status: f.CommandExitStatus | None = None


class LineConnected(Event):
    """A session is about to be connected to a line, to write or to watch the writer."""

    action: ClassVar = "line-connected"
    reason: ConnectedReason
    writer: f.LineWriter | None = None


class LineDisconnected(Event):
    """A session is no longer connected to a line."""

    action: ClassVar = "line-disconnected"
    reason: LineReason
    duration_s: f.LineDurationS
    bytes_received: f.LineBytesReceived
    bytes_sent: f.LineBytesSent


class LineUp(Event):
    """The upstream of a kept-open line is connected."""

    action: ClassVar = "line-up"
    reason: Literal[LineReason.UPSTREAM_CONNECTED] = LineReason.UPSTREAM_CONNECTED
    unrecorded: f.LineUnrecorded | None = None


class LineDown(Event):
    """The upstream of a kept-open line is not connected, and is connected again when that is possible."""

    action: ClassVar = "line-down"
    reason: DownReason
    unrecorded: f.LineUnrecorded | None = None


class LineLogGap(Event):
    """Output of a kept-open line is missing from its recording.

    The recording could not be written for a while, or the serial port lost what it received.
    """

    action: ClassVar = "line-log-gap"
    reason: Literal[LineReason.RECORDING_FAILED, LineReason.OVERRUN] = LineReason.RECORDING_FAILED
    since: f.LineGapSince | None = None
    bytes: f.LineGapBytes | None = None
    overruns: f.LineOverruns | None = None


class LinePosition(Part):
    """A moment in the recording of a line."""

    file: f.RecordingFile
    offset_s: f.RecordingOffsetS


class LineCommandTyped(Event):
    """A command was typed on a recorded line, as the line's screen showed it; it was sent before."""

    action: ClassVar = "line-command"
    reason: Literal[LineReason.TYPED] = LineReason.TYPED
    command: f.LineCommandText
    prompt: f.LinePrompt
    position: LinePosition | None = None


class LineFullScreen(Event):
    """Keys begin to go to a program that uses the whole screen of a recorded line, or no longer do.

    What is typed to such a program is no command.
    """

    action: ClassVar = "line-fullscreen"
    reason: Literal[LineReason.FULL_SCREEN, LineReason.FULL_SCREEN_ENDED]
    position: LinePosition | None = None


class LineAlert(Event):
    """A line showed what an alert of the operator is for; within a minute, further matches are counted."""

    action: ClassVar = "line-alert"
    reason: Literal[LineReason.ALERT] = LineReason.ALERT
    name: f.AlertName
    text: f.AlertText
    unreported: f.AlertUnreported | None = None
    position: LinePosition | None = None


class RecordingClosed(Event):
    """A recording of what a line showed was closed; the log vouches for the file."""

    action: ClassVar = "recording-closed"
    reason: Literal[CommonReason.OK, EndReason.SERVER_LOST] = CommonReason.OK
    file: f.RecordingFile
    sha256: f.RecordingSha256
    bytes: f.RecordingBytes
    is_whole: f.RecordingIsWhole
    writer: f.LineWriter | None = None


class RecordingRemoved(Event):
    """A recording is about to be removed, because it is too old or the line's recordings are too large together."""

    action: ClassVar = "recording-removed"
    reason: RetentionReason
    file: f.RecordingFile
