"""The settings in `telnetsd.toml`: one struct a stage, every key optional, an unknown key refused.

A default here is the documented default; the README and the file that `telnetsd init` writes say the same. Units are
in the names: `_s` seconds, `_bytes` bytes.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

Seconds = Annotated[float, msgspec.Meta(gt=0, le=10 * 365 * 86400)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
WORKERS_MAX: Final = 64
AUTO: Final = "auto"
"""As many as there are cores."""
Workers = Annotated[int, msgspec.Meta(ge=1, le=WORKERS_MAX)]
ARGUMENT_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@-"
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9_-]{0,31}$",
        description="a name of up to 32 lower-case letters, digits, - and _, a letter first",
    ),
]
RoleName = Name
AssuranceClass = Annotated[int, msgspec.Meta(ge=0, le=9)]
Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]
Penalty = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Network = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$", description="an address or a network, as in 192.0.2.0/24, no name"
    ),
]
Fingerprint = Annotated[
    str,
    msgspec.Meta(pattern=r"^SHA256:[0-9A-Fa-f]{64}$", description="a fingerprint: SHA256: and 64 hexadecimal digits"),
]
Oid = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-2](\.(0|[1-9][0-9]*)){1,30}$",
        description="an object identifier, as in 1.3.6.1.4.1.99999.1",
        max_length=128,
    ),
]
EntryId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$",
        description="a name of up to 64 lower-case letters, digits, ., _ and -",
    ),
]
OptionalUser = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([a-z_][a-z0-9_-]{0,31})?$", description="the name of a user of this machine, or nothing"
    ),
]
OptionalUrl = Annotated[
    str, msgspec.Meta(pattern=r"^(https?://[!-~]{1,250})?$", description="an address of the web, or nothing")
]
OptionalHostName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)*)?$",
        description="a host name in lower case, or nothing",
        max_length=253,
    ),
]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
FINGERPRINT_PREFIX: Final = "SHA256:"
Collector = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(stdout|journald|syslog\+(udp|tcp|tls)://([a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5})$",
        description="stdout, journald, or syslog+udp://HOST:PORT, syslog+tcp:// or syslog+tls://",
    ),
]


def fingerprint_hex(text: str) -> str:
    """Return a fingerprint, or its start, as it is compared: lower-case hexadecimal, without prefix and colons."""
    return text.removeprefix(FINGERPRINT_PREFIX).replace(":", "").lower()


class CrlPolicy(StrEnum):
    """What becomes of a certificate of another CA of which there is no current CRL."""

    REQUIRE = "require"
    PREFER = "prefer"


class RenewalPolicy(StrEnum):
    """What becomes of a user's `renew`."""

    AUTO = "auto"
    APPROVAL = "approval"
    OFF = "off"


class MapType(StrEnum):
    """Where in a verified certificate the name is found (RFC 7407 section 4, and three kinds of name beyond it)."""

    SPECIFIED = "specified"
    SAN_RFC822_NAME = "san-rfc822-name"
    SAN_DNS_NAME = "san-dns-name"
    SAN_IP_ADDRESS = "san-ip-address"
    SAN_ANY = "san-any"
    COMMON_NAME = "common-name"
    SUBJECT = "subject"
    SAN_URI = "san-uri"
    SAN_UPN = "san-upn"


class Durability(StrEnum):
    """When an event counts as written."""

    COMMIT = "commit"
    INTERVAL = "interval"


class FailurePolicy(StrEnum):
    """What becomes of sessions and commands while the audit log cannot be written."""

    REFUSE = "refuse"
    CONTINUE = "continue"


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all sections share: immutable, and strict about their keys."""


class EndpointSettings(Section, frozen=True):
    """An address that connections come in by, and what is asked of them there beside what is asked everywhere.

    `listen` is HOST:PORT, or unix:PATH. `proxies` are the networks of proxies that speak for others, by a PROXY
    header that is demanded of them and of nobody else. `roles` lets in those who have one of them; none, everybody.
    """

    listen: str
    require_certificate: bool = False
    roles: tuple[RoleName, ...] = ()
    proxies: tuple[Network, ...] = ()


class ListenerSettings(Section, frozen=True):
    """Where connections come in, how many, and by whom they are served.

    `keepalive_s` 0 leaves silent peers to the session's clocks. `user` is whom root becomes when it has the sockets.
    """

    listen: str = "127.0.0.1:9992"
    proxies: tuple[Network, ...] = ()
    also: tuple[EndpointSettings, ...] = ()
    max_connections: Count = 4000
    workers: Workers | Literal["auto"] = 1
    keepalive_s: Annotated[int, msgspec.Meta(ge=0, le=86400)] = 60
    drain_timeout_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 10.0
    user: OptionalUser = ""

    @property
    def endpoints(self) -> tuple[EndpointSettings, ...]:
        """The addresses that lead to a prompt, the main one first."""
        return (EndpointSettings(listen=self.listen, proxies=self.proxies), *self.also)


class LimitSettings(Section, frozen=True):
    """What one source, one user or one session may take up, and what becomes of sources that fail.

    `exempt` are networks whose sources have no limit of their own and no penalty. From `handshakes_begin` handshakes
    at a time on, `handshakes_refused` in a hundred connections are turned away, and more and more up to
    `handshakes_full`, from which on all are. A penalty is in force from `penalty_threshold_s` on; that of a network,
    to which each of its sources adds up to that threshold, from eight times as much on. `guest_log_bytes_per_hour` is
    how much of the log the guests and refused clients of one source may fill; those of a network eight times as much.
    """

    exempt: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    per_source: Count = 128
    per_network: Count = 1024
    sessions_per_user: Count = 128
    guests: Count = 1000
    guests_per_source: Count = 16
    handshakes_begin: Count = 256
    handshakes_refused: Annotated[int, msgspec.Meta(ge=0, le=100)] = 30
    handshakes_full: Count = 1024
    handshakes_per_source: Count = 32
    handshakes_per_network: Count = 96
    penalty_threshold_s: Penalty = 15.0
    penalty_max_s: Penalty = 600.0
    penalty_handshake_s: Penalty = 2.0
    penalty_timeout_s: Penalty = 10.0
    penalty_refused_s: Penalty = 5.0
    penalty_guest_s: Penalty = 1.0
    lines_per_s: Annotated[float, msgspec.Meta(ge=1, le=1_000_000)] = 1000.0
    lines_burst: Count = 2000
    guest_lines_per_s: Annotated[float, msgspec.Meta(ge=1, le=1_000_000)] = 2.0
    guest_lines_burst: Count = 100
    all_guests_lines_per_s: Annotated[float, msgspec.Meta(ge=1, le=1_000_000)] = 100.0
    guest_log_bytes_per_hour: Annotated[int, msgspec.Meta(ge=16_384, le=1_000_000_000)] = 4_194_304


class TlsSettings(Section, frozen=True):
    """The handshake: how long it may take, and how much a client may send for it, with its chain of certificates."""

    handshake_timeout_s: Seconds = 10.0
    handshake_max_bytes: Annotated[int, msgspec.Meta(ge=4096, le=1_048_576)] = 65536


class IdentitySettings(Section, frozen=True):
    """Who may come in."""

    require_certificate: bool = False
    crl_policy: CrlPolicy = CrlPolicy.REQUIRE


class IssuingSettings(Section, frozen=True):
    """What the built-in CA issues."""

    days: Days = 365
    crl_url: OptionalUrl = ""
    crl_days: Days = 7


class RenewalSettings(Section, frozen=True):
    """Renewing a certificate, and warning of its end."""

    policy: RenewalPolicy = RenewalPolicy.APPROVAL
    window_days: Days = 30


class EnrolmentSettings(Section, frozen=True):
    """Requests of those who have no certificate yet."""

    is_open: bool = True
    per_source: Count = 3
    total: Count = 100
    expiry_days: Days = 7


class SessionSettings(Section, frozen=True):
    """One session's clocks and limits.

    Who has not read `pending_max_bytes` of what was sent is shown no notices: of other users, of the server.
    """

    idle_timeout_s: Seconds = 1800.0
    idle_warning_s: Seconds = 60.0
    max_time_s: Seconds = 7 * 86400.0
    line_max_bytes: Annotated[int, msgspec.Meta(ge=80, le=65536)] = 4096
    pending_max_bytes: Annotated[int, msgspec.Meta(ge=4096, le=16_777_216)] = 65536
    motd: Annotated[str, msgspec.Meta(max_length=4096)] = "no message today"


class ShippingSettings(Section, frozen=True):
    """A collector that gets every event; `ca` and `certificate` are files, and for TLS only."""

    name: EntryId
    to: Collector
    ca: str = ""
    certificate: str = ""
    key: str = ""
    queue_events: Count = 100_000


class AuditSettings(Section, frozen=True):
    """The audit log: when it is synced, signed, rotated, removed; what if it cannot be written; who gets it.

    0 turns rotation or removal by that measure off.
    """

    durability: Durability = Durability.COMMIT
    sync_interval_s: Annotated[float, msgspec.Meta(ge=0.01, le=60)] = 1.0
    on_audit_failure: FailurePolicy = FailurePolicy.REFUSE
    checkpoint_interval_s: Annotated[float, msgspec.Meta(ge=0.1, le=86400)] = 300.0
    checkpoint_events: Count = 1000
    rotate_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**40)] = 64 * 2**20
    rotate_age_s: Annotated[float, msgspec.Meta(ge=0, le=10 * 365 * 86400)] = 7 * 86400.0
    compress: bool = True
    retention_days: Annotated[int, msgspec.Meta(ge=0, le=36500)] = 400
    retention_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**50)] = 10 * 2**30
    shipping: tuple[ShippingSettings, ...] = ()


class MetricsSettings(Section, frozen=True):
    """Where figures and health can be asked for by HTTP, on this machine alone; empty for nowhere."""

    listen: str = ""


class LineSettings(Section, frozen=True):
    """A line: where it leads, who has it, how it is shared, recorded and bounded.

    `target` is telnet://HOST:PORT, tcp://, tls://, serial:///dev/NAME?baud=9600 or exec:PROGRAM ARGUMENTS; 0 seconds
    is no limit. `listen` and `server_name` lead straight to the line: a port of its own, a name that clients ask for.
    """

    name: EntryId
    target: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    description: Annotated[str, msgspec.Meta(max_length=256)] = ""
    roles: tuple[RoleName, ...] = ("user",)
    min_class: AssuranceClass = 0
    shared: bool = False
    record: bool = False
    record_input: bool = False
    idle_timeout_s: Annotated[float, msgspec.Meta(ge=0, le=10 * 365 * 86400)] = 0.0
    max_time_s: Annotated[float, msgspec.Meta(ge=0, le=10 * 365 * 86400)] = 0.0
    connect_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 10.0
    recording_max_bytes: Annotated[int, msgspec.Meta(ge=4096, le=2**40)] = 64 * 2**20
    ca: str = ""
    certificate: str = ""
    key: str = ""
    run_as: str = ""
    listen: str = ""
    server_name: OptionalHostName = ""


class RoleSettings(Section, frozen=True):
    """A named set of commands: its own, and those of the roles that it includes.

    With neither `includes` nor `commands`, a built-in role keeps its own.
    """

    includes: tuple[RoleName, ...] | UnsetType = UNSET
    commands: tuple[str, ...] | UnsetType = UNSET
    min_class: AssuranceClass = 0


class CommandSettings(Section, frozen=True):
    """One command's own demands."""

    min_class: AssuranceClass = 0


class ProgramSettings(Section, frozen=True):
    """A command that runs a program: its words (no shell), who has it, what may stand behind it, and its limits.

    What is typed behind the command's name is words of `argument_characters`, up to `arguments_max` of them, none of
    which begins with `-`: they are added to the program's own.
    """

    name: Name
    exec: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    summary: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    roles: tuple[RoleName, ...] = ("user",)
    min_class: AssuranceClass = 0
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    arguments_max: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    argument_characters: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] = ARGUMENT_CHARACTERS
    output_max_bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**30)] = 2**20


class ClassSettings(Section, frozen=True):
    """An assurance class: its policy OID, what it is called, and what was checked of who somebody is."""

    oid: Oid
    name: Text
    checked: Text


class TrustAnchorSettings(Section, frozen=True):
    """How far a trust anchor's word goes.

    `assurance_class` (in the file: `class`) is that of every certificate below it; up to `max_class` its
    certificates may assert a class by its policy OID.
    """

    fingerprint: Fingerprint
    assurance_class: AssuranceClass = msgspec.field(default=0, name="class")
    max_class: AssuranceClass = 0


class CertToNameSettings(Section, frozen=True):
    """One entry of the mapping from a verified certificate to a user (RFC 7407 section 4)."""

    id: EntryId
    fingerprint: Fingerprint
    map_type: MapType
    name: Text | UnsetType = UNSET
    pattern: Text | UnsetType = UNSET
    names: dict[Text, Text] | UnsetType = UNSET
    roles: tuple[RoleName, ...] | UnsetType = UNSET


class Settings(Section, frozen=True):
    """The whole file."""

    listener: ListenerSettings = ListenerSettings()
    limits: LimitSettings = LimitSettings()
    tls: TlsSettings = TlsSettings()
    identity: IdentitySettings = IdentitySettings()
    issuing: IssuingSettings = IssuingSettings()
    renewal: RenewalSettings = RenewalSettings()
    enrolment: EnrolmentSettings = EnrolmentSettings()
    session: SessionSettings = SessionSettings()
    audit: AuditSettings = AuditSettings()
    metrics: MetricsSettings = MetricsSettings()
    line: tuple[LineSettings, ...] = ()
    command: tuple[ProgramSettings, ...] = ()
    roles: dict[RoleName, RoleSettings] = {}
    commands: dict[str, CommandSettings] = {}
    classes: dict[AssuranceClass, ClassSettings] = {}
    trust_anchor: tuple[TrustAnchorSettings, ...] = ()
    cert_to_name: tuple[CertToNameSettings, ...] = ()
