"""The settings in `telnetsd.toml`: one struct per section, every key optional, unknown keys refused.

A key is declared here once, with its default and its meaning: see `config.key`. Units are in the names: `_s` for
seconds, `_bytes` for bytes.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from telnetsd.config.key import setting
from telnetsd.config.values import (
    ARGUMENT_CHARACTERS,
    AssuranceClass,
    CollectorAddress,
    Count,
    CrlPolicy,
    Days,
    Durability,
    EngineUrl,
    EntryId,
    FailurePolicy,
    Fingerprint,
    MapType,
    Name,
    NetworkText,
    Oid,
    OptionalHostName,
    OptionalHostPort,
    OptionalNodeName,
    OptionalUrl,
    OptionalUser,
    Pattern,
    PenaltySeconds,
    RenewalPolicy,
    RoleName,
    RouteUrl,
    Seconds,
    StalePolicy,
    Text,
    Workers,
)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all sections share: immutable, and strict about their keys."""


class EndpointSettings(Section, frozen=True, kw_only=True):
    """An address that accepts connections, with its own requirements in addition to those of [identity]."""

    listen: Annotated[str, setting("HOST:PORT, or unix:PATH", waits=True)]
    require_certificate: Annotated[
        bool, setting("whether a client without a certificate is refused here", waits=True)
    ] = False
    roles: Annotated[
        tuple[RoleName, ...], setting("the roles that are admitted here; empty: all roles", waits=True)
    ] = ()
    proxies: Annotated[
        tuple[NetworkText, ...],
        setting("networks of proxies whose PROXY header is required and trusted here", waits=True),
    ] = ()


class ListenerSettings(Section, frozen=True, kw_only=True):
    """Where connections are accepted, how many, and how many processes serve them."""

    listen: Annotated[
        str,
        setting(
            "HOST:PORT, an IPv6 host in brackets, or unix:PATH; the IANA port of telnets is 992",
            waits=True,
            common=True,
        ),
    ] = "127.0.0.1:9992"
    proxies: Annotated[
        tuple[NetworkText, ...],
        setting("networks of proxies whose PROXY header is required and trusted", waits=True, common=True),
    ] = ()
    also: Annotated[
        tuple[EndpointSettings, ...], setting("further addresses, each with its own requirements", waits=True)
    ] = ()
    max_connections: Annotated[Count, setting("further connections are closed and recorded", common=True)] = 4000
    workers: Annotated[
        Workers | Literal["auto"],
        setting('number of worker processes; `"auto"`: one per core', waits=True, common=True),
    ] = 1
    keepalive_s: Annotated[
        int,
        msgspec.Meta(ge=0, le=86400),
        setting("idle time after which TCP checks that the peer still answers; 0: never", waits=True, common=True),
    ] = 60
    drain_timeout_s: Annotated[
        float,
        msgspec.Meta(ge=0, le=86400),
        setting("how long open sessions may continue when the server is stopped", waits=True, common=True),
    ] = 10.0
    user: Annotated[
        OptionalUser,
        setting("the user that a server started as root becomes once its sockets are open", waits=True, common=True),
    ] = ""

    @property
    def endpoints(self) -> tuple[EndpointSettings, ...]:
        """The addresses that lead to a prompt, the main one first."""
        return (EndpointSettings(listen=self.listen, proxies=self.proxies), *self.also)


class LimitSettings(Section, frozen=True, kw_only=True):
    """What a source, a user or a session may use, and what happens to sources that fail: docs/service.md."""

    exempt: Annotated[
        tuple[NetworkText, ...],
        setting("networks whose sources have no limit per source and no penalty", common=True),
    ] = ("127.0.0.0/8", "::1/128")
    per_source: Annotated[Count, setting("connections from one IPv4 address or IPv6 /64", common=True)] = 128
    per_network: Annotated[Count, setting("connections from one IPv4 /24 or IPv6 /48", common=True)] = 1024
    sessions_per_user: Annotated[Count, setting("open sessions of one user", common=True)] = 128
    guests: Annotated[Count, setting("connected guests")] = 1000
    guests_per_source: Annotated[Count, setting("guests from one source")] = 16
    handshakes_begin: Annotated[
        Count, setting("from this many concurrent handshakes on, some connections are closed")
    ] = 256
    handshakes_refused: Annotated[
        int, msgspec.Meta(ge=0, le=100), setting("percentage of connections closed at handshakes_begin")
    ] = 30
    handshakes_full: Annotated[
        Count, setting("from this many concurrent handshakes on, all connections are closed")
    ] = 1024
    handshakes_per_source: Annotated[Count, setting("concurrent handshakes from one source")] = 32
    handshakes_per_network: Annotated[Count, setting("concurrent handshakes from one network")] = 96
    penalty_threshold_s: Annotated[
        PenaltySeconds,
        setting("a penalty takes effect from this many seconds; for a network, from eight times as many"),
    ] = 15.0
    penalty_max_s: Annotated[PenaltySeconds, setting("the longest penalty")] = 600.0
    penalty_handshake_s: Annotated[
        PenaltySeconds, setting("what a failed handshake adds to the penalty of its source")
    ] = 2.0
    penalty_timeout_s: Annotated[PenaltySeconds, setting("what a handshake that takes too long adds")] = 10.0
    penalty_refused_s: Annotated[PenaltySeconds, setting("what a refused certificate adds")] = 5.0
    penalty_guest_s: Annotated[PenaltySeconds, setting("what a guest adds")] = 1.0
    lines_per_s: Annotated[
        float, msgspec.Meta(ge=1, le=1_000_000), setting("lines per second that a user may type", common=True)
    ] = 1000.0
    lines_burst: Annotated[Count, setting("lines that a user may type in a burst")] = 2000
    guest_lines_per_s: Annotated[
        float, msgspec.Meta(ge=1, le=1_000_000), setting("lines per second that a guest may type")
    ] = 2.0
    guest_lines_burst: Annotated[Count, setting("lines that a guest may type in a burst")] = 100
    all_guests_lines_per_s: Annotated[
        float,
        msgspec.Meta(ge=1, le=1_000_000),
        setting("lines per second that all guests of one process together may type"),
    ] = 100.0
    guest_log_bytes_per_hour: Annotated[
        int,
        msgspec.Meta(ge=16_384, le=1_000_000_000),
        setting(
            "how much of the log guests and refused clients of a source may fill per hour; of a network: 8 times that"
        ),
    ] = 4_194_304


class TlsSettings(Section, frozen=True, kw_only=True):
    """The TLS handshake."""

    handshake_timeout_s: Annotated[Seconds, setting("a handshake that takes longer is aborted", common=True)] = 10.0
    handshake_max_bytes: Annotated[
        int,
        msgspec.Meta(ge=4096, le=1_048_576),
        setting("how much a client may send for its handshake, including its certificate chain", common=True),
    ] = 65536


class IdentitySettings(Section, frozen=True, kw_only=True):
    """Which clients are admitted."""

    require_certificate: Annotated[
        bool, setting("`true`: a client without a certificate is refused", common=True)
    ] = False
    crl_policy: Annotated[
        CrlPolicy,
        setting('`"prefer"`: a certificate of another CA is accepted without a current CRL', common=True),
    ] = CrlPolicy.REQUIRE


class IssuingSettings(Section, frozen=True, kw_only=True):
    """What the built-in CA issues."""

    days: Annotated[Days, setting("how long a user's certificate is valid", common=True)] = 365
    crl_url: Annotated[
        OptionalUrl, setting("the URL of the built-in CA's CRL; included in each certificate", common=True)
    ] = ""
    crl_days: Annotated[
        Days, setting("how long the built-in CA's CRL is valid; it is signed again before it expires", common=True)
    ] = 7


class RenewalSettings(Section, frozen=True, kw_only=True):
    """Renewing a certificate, and warning before it expires."""

    policy: Annotated[
        RenewalPolicy,
        setting(
            '`"auto"`: `renew` issues a certificate; `"approval"`: an operator decides; `"off"`: refused', common=True
        ),
    ] = RenewalPolicy.APPROVAL
    window_days: Annotated[
        Days, setting("how long before the certificate expires its user is warned and may renew", common=True)
    ] = 30


class EnrolmentSettings(Section, frozen=True, kw_only=True):
    """Requests of clients that have no certificate yet."""

    is_open: Annotated[bool, setting("whether `enroll` accepts requests", common=True)] = True
    per_source: Annotated[Count, setting("open requests from one source", common=True)] = 3
    total: Annotated[Count, setting("open requests in all", common=True)] = 100
    expiry_days: Annotated[Days, setting("how long a request is kept", common=True)] = 7


class SessionSettings(Section, frozen=True, kw_only=True):
    """The timeouts and limits of one session."""

    idle_timeout_s: Annotated[Seconds, setting("a session without input for this long ends", common=True)] = 1800.0
    idle_warning_s: Annotated[Seconds, setting("how long before that its user is warned", common=True)] = 60.0
    max_time_s: Annotated[Seconds, setting("maximum duration of a session", common=True)] = 7 * 86400.0
    line_max_bytes: Annotated[
        int, msgspec.Meta(ge=80, le=65536), setting("a longer line is ignored, with a message", common=True)
    ] = 4096
    pending_max_bytes: Annotated[
        int,
        msgspec.Meta(ge=4096, le=16_777_216),
        setting("a client with this much unread output is shown no notices", common=True),
    ] = 65536
    motd: Annotated[str, msgspec.Meta(max_length=4096), setting("what `motd` shows", common=True)] = (
        "no message today"
    )


class ShippingSettings(Section, frozen=True, kw_only=True):
    """A collector that receives every event."""

    name: Annotated[EntryId, setting("its name in events and metrics", waits=True)]
    to: Annotated[CollectorAddress, setting("where events are sent", waits=True)]
    ca: Annotated[
        str, setting("PEM file of the CA that the collector's certificate needs; empty: the system's CAs", waits=True)
    ] = ""
    certificate: Annotated[str, setting("PEM file of the certificate to present to the collector", waits=True)] = ""
    key: Annotated[str, setting("PEM file of that certificate's key", waits=True)] = ""
    queue_events: Annotated[
        Count, setting("a collector that is further behind loses events, and the log says which", waits=True)
    ] = 100_000


class NotifySettings(Section, frozen=True, kw_only=True):
    """A program or a webhook that gets events at once."""

    name: Annotated[EntryId, setting("its name in events and in what is sent", waits=True)]
    actions: Annotated[
        Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=64)],
        setting("the events, by `event.action`; * matches anything", waits=True),
    ]
    reasons: Annotated[tuple[str, ...], setting("only with these reasons; * matches anything", waits=True)] = ()
    users: Annotated[tuple[str, ...], setting("only events by or about these users", waits=True)] = ()
    program: Annotated[
        Annotated[str, msgspec.Meta(max_length=4096)],
        setting("a program that gets the event as JSON on its standard input; there is no shell", waits=True),
    ] = ""
    url: Annotated[
        Annotated[str, msgspec.Meta(max_length=2048)], setting("an https:// address that gets it by POST", waits=True)
    ] = ""
    secret_file: Annotated[
        str, setting("a file with a secret that signs what is sent to `url`, by HMAC-SHA256", waits=True)
    ] = ""
    ca: Annotated[
        str, setting("PEM file of the CA that the certificate of `url` needs; empty: the system's CAs", waits=True)
    ] = ""
    per_hour: Annotated[
        Annotated[int, msgspec.Meta(ge=1, le=100_000)],
        setting("how many are sent in an hour; the next one says how many were held back", waits=True),
    ] = 30


class AuditSettings(Section, frozen=True, kw_only=True):
    """The audit log: when it is synced, signed, rotated and removed, and which collectors receive it."""

    durability: Annotated[
        Durability,
        setting(
            '`"commit"`: an event counts as written once it is on disk; `"interval"`: it is synced later',
            waits=True,
            common=True,
        ),
    ] = Durability.COMMIT
    sync_interval_s: Annotated[
        float,
        msgspec.Meta(ge=0.01, le=60),
        setting('with `"interval"`: a power failure may lose the events of this time', waits=True, common=True),
    ] = 1.0
    on_audit_failure: Annotated[
        FailurePolicy,
        setting(
            '`"continue"`: sessions continue while the log cannot be written; their events are recorded later',
            waits=True,
            common=True,
        ),
    ] = FailurePolicy.REFUSE
    checkpoint_interval_s: Annotated[
        float,
        msgspec.Meta(ge=0.1, le=86400),
        setting("longest time between two signatures of the log", waits=True, common=True),
    ] = 300.0
    checkpoint_events: Annotated[
        Count, setting("most events between two signatures of the log", waits=True, common=True)
    ] = 1000
    rotate_bytes: Annotated[
        int,
        msgspec.Meta(ge=0, le=2**40),
        setting("the size at which a new file is started; 0: never", waits=True, common=True),
    ] = 64 * 2**20
    rotate_age_s: Annotated[
        float,
        msgspec.Meta(ge=0, le=10 * 365 * 86400),
        setting("the age at which a new file is started; 0: never", waits=True, common=True),
    ] = 7 * 86400.0
    compress: Annotated[bool, setting("whether rotated files are compressed with zstd", waits=True, common=True)] = (
        True
    )
    retention_days: Annotated[
        int,
        msgspec.Meta(ge=0, le=36500),
        setting("older rotated files are removed; 0: never", waits=True, common=True),
    ] = 400
    retention_bytes: Annotated[
        int,
        msgspec.Meta(ge=0, le=2**50),
        setting(
            "rotated files beyond this total size are removed, the oldest first; 0: never", waits=True, common=True
        ),
    ] = 10 * 2**30
    shipping: Annotated[tuple[ShippingSettings, ...], setting("collectors that get every event", waits=True)] = ()


class MetricsSettings(Section, frozen=True, kw_only=True):
    """Metrics and health, over HTTP on this machine only."""

    listen: Annotated[
        str, setting("127.0.0.1:PORT for /metrics, /healthz and /readyz; empty: disabled", waits=True, common=True)
    ] = ""


class AlertSettings(Section, frozen=True, kw_only=True):
    """What an operator wants to hear of: text that a line shows."""

    name: Annotated[EntryId, setting("its name in events and messages")]
    pattern: Annotated[Pattern, setting("a regular expression (RE2) for a line of its text")]


class LineSettings(Section, frozen=True, kw_only=True):
    """A line: its target, the roles that have access to it, and how it is shared, recorded and limited."""

    name: Annotated[EntryId, setting("its name, which users type after `connect`")]
    target: Annotated[str, msgspec.Meta(min_length=1, max_length=4096), setting("its destination: see docs/lines.md")]
    description: Annotated[str, msgspec.Meta(max_length=256), setting("its description in `lines`")] = ""
    roles: Annotated[tuple[RoleName, ...], setting("the roles that may use it")] = ("user",)
    min_class: Annotated[AssuranceClass, setting("the lowest assurance class that may use it")] = 0
    shared: Annotated[bool, setting("whether several sessions may connect: one writes, the others watch")] = False
    record: Annotated[bool, setting("whether its output is recorded")] = False
    record_input: Annotated[bool, setting("whether input is recorded as well")] = False
    columns: Annotated[
        int,
        msgspec.Meta(ge=20, le=500),
        setting("the width at which the far side wraps, with `record`, where it is not told the user's window"),
    ] = 80
    redact: Annotated[
        tuple[Pattern, ...],
        setting("what is left out of recorded commands: regular expressions, of which groups count if there are any"),
    ] = ()
    alert: Annotated[
        Annotated[tuple[AlertSettings, ...], msgspec.Meta(max_length=16)],
        setting("text in its output that is reported"),
    ] = ()
    idle_timeout_s: Annotated[
        float,
        msgspec.Meta(ge=0, le=10 * 365 * 86400),
        setting("a line without input for this long is closed, or its writer leaves it; 0: never"),
    ] = 0.0
    max_time_s: Annotated[
        float,
        msgspec.Meta(ge=0, le=10 * 365 * 86400),
        setting("maximum time that a line is open, or a session on it; 0: no limit"),
    ] = 0.0
    connect_timeout_s: Annotated[
        float, msgspec.Meta(gt=0, le=600), setting("how long connecting to the upstream may take")
    ] = 10.0
    recording_max_bytes: Annotated[
        int, msgspec.Meta(ge=4096, le=2**40), setting("the size at which a recording continues in another file")
    ] = 64 * 2**20
    recording_max_age_s: Annotated[
        float,
        msgspec.Meta(ge=60, le=10 * 365 * 86400),
        setting("the age at which a recording continues in another file"),
    ] = 86400.0
    recording_retention_days: Annotated[
        int, msgspec.Meta(ge=0, le=36500), setting("older recordings of the line are removed; 0: never")
    ] = 400
    recording_retention_bytes: Annotated[
        int,
        msgspec.Meta(ge=0, le=2**50),
        setting("its recordings beyond this total size are removed, the oldest first; 0: never"),
    ] = 10 * 2**30
    linger_s: Annotated[
        float,
        msgspec.Meta(ge=0, le=600),
        setting("how long it may be silent before a client that has ended its input leaves it"),
    ] = 2.0
    newline: Annotated[
        Literal["", "cr", "lf", "crlf"],
        setting("what Enter sends to it, for tcp:, tls: and unix:; empty: CR, and bytes pass unchanged"),
    ] = ""
    keep_open: Annotated[
        bool, setting("whether its upstream is connected while the server runs, with or without a session")
    ] = False
    backlog_bytes: Annotated[
        int, msgspec.Meta(ge=0, le=2**26), setting("how much of its past output is kept in memory, with `keep_open`")
    ] = 256 * 1024
    backlog_lines: Annotated[
        int, msgspec.Meta(ge=0, le=10_000), setting("how many lines of that a session is shown at first")
    ] = 20
    on_leave: Annotated[
        str,
        msgspec.Meta(max_length=256),
        setting("what is sent to it when its writer has left, such as `exit\\r`; with `keep_open`"),
    ] = ""
    ca: Annotated[str, setting("PEM file of the CA of the upstream's certificate, for tls://")] = ""
    certificate: Annotated[str, setting("PEM file of the certificate to present to the upstream, for tls://")] = ""
    key: Annotated[str, setting("PEM file of that certificate's key")] = ""
    run_as: Annotated[str, setting("the user that its program runs as, for exec:")] = ""
    listen: Annotated[
        str, setting("an address that connects directly to the line: HOST:PORT, or unix:PATH", waits=True)
    ] = ""
    server_name: Annotated[OptionalHostName, setting("a TLS server name that connects directly to the line")] = ""


class EngineSettings(Section, frozen=True, kw_only=True):
    """A server of the fleet's engine on this machine: what `telnetsd fleet engine` starts."""

    listen: Annotated[OptionalHostPort, setting("HOST:PORT where nodes connect; empty: no engine here")] = ""
    cluster: Annotated[OptionalHostPort, setting("HOST:PORT where the engine's other servers connect")] = ""
    routes: Annotated[
        tuple[RouteUrl, ...],
        setting("HOST:PORT of `cluster` on every engine machine; empty: the hosts of `servers`, with that port"),
    ] = ()
    store: Annotated[str, setting("its folder, relative to the home folder")] = "engine"
    max_bytes: Annotated[int, msgspec.Meta(ge=2**26, le=2**50), setting("how much disk it may use")] = 20_000_000_000


class FleetSettings(Section, frozen=True, kw_only=True):
    """Many servers as one: docs/fleet.md."""

    name: Annotated[OptionalNodeName, setting("the name of the fleet; empty: none", waits=True)] = ""
    node: Annotated[OptionalNodeName, setting("the name of this server in it", waits=True)] = ""
    servers: Annotated[tuple[EngineUrl, ...], setting("the servers of the engine", waits=True)] = ()
    stale_after_s: Annotated[
        float,
        msgspec.Meta(ge=60, le=10 * 365 * 86400),
        setting("after how long without the fleet `on_stale` counts"),
    ] = 604_800.0
    on_stale: Annotated[StalePolicy, setting("who may log in to a server that was cut off for that long")] = (
        StalePolicy.CONTINUE
    )
    engine: Annotated[EngineSettings, setting("a server of the fleet's engine on this machine")] = EngineSettings()


class RoleSettings(Section, frozen=True, kw_only=True):
    """A named set of commands: its own, and those of the roles that it includes.

    With neither `includes` nor `commands`, a built-in role keeps its own.
    """

    includes: Annotated[tuple[RoleName, ...] | UnsetType, setting("roles whose commands it includes")] = UNSET
    commands: Annotated[tuple[str, ...] | UnsetType, setting("its own commands")] = UNSET
    min_class: Annotated[AssuranceClass, setting("the lowest assurance class that may have the role")] = 0


class CommandSettings(Section, frozen=True, kw_only=True):
    """The requirements of one command."""

    min_class: Annotated[AssuranceClass, setting("the lowest assurance class that may use the command")] = 0


class ProgramSettings(Section, frozen=True, kw_only=True):
    """A command that runs a program. The arguments that a user adds come after the program's own."""

    name: Annotated[Name, setting("its name, which users type")]
    exec: Annotated[
        str, msgspec.Meta(min_length=1, max_length=4096), setting("the program and its own arguments; no shell")
    ]
    summary: Annotated[str, msgspec.Meta(min_length=1, max_length=60), setting("its description in `help`")]
    roles: Annotated[tuple[RoleName, ...], setting("the roles that may use it")] = ("user",)
    min_class: Annotated[AssuranceClass, setting("the lowest assurance class that may use it")] = 0
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600), setting("a program that runs for longer is stopped")] = (
        60.0
    )
    arguments_max: Annotated[
        int, msgspec.Meta(ge=0, le=64), setting("how many arguments a user may add; none may begin with `-`")
    ] = 0
    argument_characters: Annotated[
        str, msgspec.Meta(min_length=1, max_length=128), setting("the characters that such an argument may contain")
    ] = ARGUMENT_CHARACTERS
    output_max_bytes: Annotated[
        int, msgspec.Meta(ge=1024, le=2**30), setting("a program with more output is stopped")
    ] = 2**20


class ClassSettings(Section, frozen=True, kw_only=True):
    """An assurance class: its policy OID, its name, and what was checked of a person."""

    oid: Annotated[Oid, setting("the certificate policy that carries it; use an OID from your own OID arc")]
    name: Annotated[Text, setting("its name for users")]
    checked: Annotated[Text, setting("how a person's identity was checked")]


class TrustAnchorSettings(Section, frozen=True, kw_only=True):
    """How far a trust anchor is trusted."""

    fingerprint: Annotated[Fingerprint, setting("which CA: `SHA256:` and its fingerprint")]
    assurance_class: Annotated[AssuranceClass, setting("the class of every certificate below it")] = msgspec.field(
        default=0, name="class"
    )
    max_class: Annotated[AssuranceClass, setting("the highest class that its certificates may assert by OID")] = 0


class CertToNameSettings(Section, frozen=True, kw_only=True):
    """One entry of the mapping from a verified certificate to a user (RFC 7407 section 4)."""

    id: Annotated[EntryId, setting("the name of the entry in events")]
    fingerprint: Annotated[Fingerprint, setting("a certificate in the path: the client's own, or a CA's")]
    map_type: Annotated[MapType, setting("where the name is in the certificate")]
    name: Annotated[Text | UnsetType, setting('with `"specified"`: the user')] = UNSET
    pattern: Annotated[Text | UnsetType, setting("a value must match this, with the name in braces")] = UNSET
    names: Annotated[dict[Text, Text] | UnsetType, setting("the user for each possible value")] = UNSET
    roles: Annotated[
        tuple[RoleName, ...] | UnsetType, setting("the roles of named users that were not added with `user add`")
    ] = UNSET


class Settings(Section, frozen=True, kw_only=True):
    """The whole file."""

    listener: Annotated[
        ListenerSettings, setting("listening addresses, number of connections, and worker processes")
    ] = ListenerSettings()
    limits: Annotated[LimitSettings, setting("what one source, user or session may use")] = LimitSettings()
    tls: Annotated[TlsSettings, setting("the TLS handshake")] = TlsSettings()
    identity: Annotated[IdentitySettings, setting("which clients are admitted")] = IdentitySettings()
    issuing: Annotated[IssuingSettings, setting("what the built-in CA issues")] = IssuingSettings()
    renewal: Annotated[RenewalSettings, setting("renewing certificates")] = RenewalSettings()
    enrolment: Annotated[EnrolmentSettings, setting("requests of clients that have no certificate yet")] = (
        EnrolmentSettings()
    )
    session: Annotated[SessionSettings, setting("the timeouts and limits of a session")] = SessionSettings()
    audit: Annotated[AuditSettings, setting("the audit log")] = AuditSettings()
    notify: Annotated[
        Annotated[tuple[NotifySettings, ...], msgspec.Meta(max_length=16)],
        setting("programs and webhooks that get events", waits=True),
    ] = ()
    metrics: Annotated[MetricsSettings, setting("metrics and health, over HTTP on this machine")] = MetricsSettings()
    line: Annotated[tuple[LineSettings, ...], setting("lines to equipment and programs")] = ()
    command: Annotated[tuple[ProgramSettings, ...], setting("commands that run a program")] = ()
    fleet: Annotated[FleetSettings, setting("many servers as one")] = FleetSettings()
    roles: Annotated[dict[RoleName, RoleSettings], setting("named sets of commands")] = {}
    commands: Annotated[dict[str, CommandSettings], setting("requirements of individual commands")] = {}
    classes: Annotated[dict[AssuranceClass, ClassSettings], setting("assurance classes")] = {}
    trust_anchor: Annotated[tuple[TrustAnchorSettings, ...], setting("how far a trust anchor is trusted")] = ()
    cert_to_name: Annotated[
        tuple[CertToNameSettings, ...], setting("which certificates of other CAs name which users")
    ] = ()
