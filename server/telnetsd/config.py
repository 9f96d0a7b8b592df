"""The settings in `telnetsd.toml`: one struct a stage, every key optional, an unknown key refused.

A default here is the documented default; the README and the file that `telnetsd init` writes say the same. Units are
in the names: `_s` seconds, `_bytes` bytes.
"""

import difflib
import ipaddress
import re
import tomllib
import typing
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from cryptography import x509
from msgspec import UNSET, UnsetType

from telnetsd.errors import OperatorError

Seconds = Annotated[float, msgspec.Meta(gt=0, le=10 * 365 * 86400)]
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
WORKERS_MAX: Final = 64
AUTO: Final = "auto"
"""As many as there are cores."""
Workers = Annotated[int, msgspec.Meta(ge=1, le=WORKERS_MAX)]
PORT_MAX: Final = 65535
UNIX_PREFIX: Final = "unix:"
ARGUMENT_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@-"
RoleName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
AssuranceClass = Annotated[int, msgspec.Meta(ge=0, le=9)]
Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]
Penalty = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Network = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$")]
Fingerprint = Annotated[str, msgspec.Meta(pattern=r"^SHA256:[0-9A-Fa-f]{64}$")]
Oid = Annotated[str, msgspec.Meta(pattern=r"^[0-2](\.(0|[1-9][0-9]*)){1,30}$", max_length=128)]
EntryId = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
FINGERPRINT_PREFIX: Final = "SHA256:"
COLLECTOR_PATTERN: Final = (
    r"^(stdout|journald|syslog\+(udp|tcp|tls)://([a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5})$"
)


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


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all sections share: immutable, and strict about their keys."""


class EndpointSettings(_Section, frozen=True):
    """An address that connections come in by, and what is asked of them there beside what is asked everywhere.

    `listen` is HOST:PORT, or unix:PATH. `proxies` are the networks of proxies that speak for others, by a PROXY
    header that is demanded of them and of nobody else. `roles` lets in those who have one of them; none, everybody.
    """

    listen: str
    require_certificate: bool = False
    roles: tuple[RoleName, ...] = ()
    proxies: tuple[Network, ...] = ()


class ListenerSettings(_Section, frozen=True):
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
    user: Annotated[str, msgspec.Meta(pattern=r"^([a-z_][a-z0-9_-]{0,31})?$")] = ""


class LimitSettings(_Section, frozen=True):
    """What one source, one user or one session may take up, and what becomes of sources that fail.

    `exempt` are networks whose sources have no limit of their own and no penalty. From `handshakes_begin` handshakes
    at a time on, `handshakes_refused` in a hundred connections are turned away, and more and more up to
    `handshakes_full`, from which on all are. A penalty is in force from `penalty_threshold_s` on; that of a network,
    which is the sum of those of its sources, from eight times as much on.
    """

    exempt: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    per_source: Count = 128
    per_network: Count = 1024
    sessions_per_user: Count = 128
    guests: Count = 1000
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
    guest_lines_per_s: Annotated[float, msgspec.Meta(ge=1, le=1_000_000)] = 20.0
    guest_lines_burst: Count = 200


class TlsSettings(_Section, frozen=True):
    """The handshake."""

    handshake_timeout_s: Seconds = 10.0


class IdentitySettings(_Section, frozen=True):
    """Who may come in."""

    require_certificate: bool = False
    crl_policy: CrlPolicy = CrlPolicy.REQUIRE


class IssuingSettings(_Section, frozen=True):
    """What the built-in CA issues."""

    days: Days = 365
    crl_url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[!-~]{1,250})?$")] = ""
    crl_days: Days = 7


class RenewalSettings(_Section, frozen=True):
    """Renewing a certificate, and warning of its end."""

    policy: RenewalPolicy = RenewalPolicy.APPROVAL
    window_days: Days = 30


class EnrolmentSettings(_Section, frozen=True):
    """Requests of those who have no certificate yet."""

    is_open: bool = True
    per_source: Count = 3
    total: Count = 100
    expiry_days: Days = 7


class SessionSettings(_Section, frozen=True):
    """One session's clocks and limits."""

    idle_timeout_s: Seconds = 1800.0
    idle_warning_s: Seconds = 60.0
    max_time_s: Seconds = 7 * 86400.0
    line_max_bytes: Annotated[int, msgspec.Meta(ge=80, le=65536)] = 4096
    motd: Annotated[str, msgspec.Meta(max_length=4096)] = "no message today"


class ShippingSettings(_Section, frozen=True):
    """A collector that gets every event; `ca` and `certificate` are files, and for TLS only."""

    name: EntryId
    to: Annotated[str, msgspec.Meta(pattern=COLLECTOR_PATTERN)]
    ca: str = ""
    certificate: str = ""
    key: str = ""
    queue_events: Count = 100_000


class AuditSettings(_Section, frozen=True):
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


class MetricsSettings(_Section, frozen=True):
    """Where figures and health can be asked for by HTTP, on this machine alone; empty for nowhere."""

    listen: str = ""


class LineSettings(_Section, frozen=True):
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
    server_name: Annotated[str, msgspec.Meta(pattern=r"^([a-z0-9-]+(\.[a-z0-9-]+)*)?$", max_length=253)] = ""


class RoleSettings(_Section, frozen=True):
    """A named set of commands: its own, and those of the roles that it includes.

    With neither `includes` nor `commands`, a built-in role keeps its own.
    """

    includes: tuple[RoleName, ...] | UnsetType = UNSET
    commands: tuple[str, ...] | UnsetType = UNSET
    min_class: AssuranceClass = 0


class CommandSettings(_Section, frozen=True):
    """One command's own demands."""

    min_class: AssuranceClass = 0


class ProgramSettings(_Section, frozen=True):
    """A command that runs a program: its words (no shell), who has it, what may stand behind it, and its limits.

    What is typed behind the command's name is words of `argument_characters`, up to `arguments_max` of them, none of
    which begins with `-`: they are added to the program's own.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    exec: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    summary: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    roles: tuple[RoleName, ...] = ("user",)
    min_class: AssuranceClass = 0
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    arguments_max: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    argument_characters: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] = ARGUMENT_CHARACTERS
    output_max_bytes: Annotated[int, msgspec.Meta(ge=1024, le=2**30)] = 2**20


class ClassSettings(_Section, frozen=True):
    """An assurance class: its policy OID, what it is called, and what was checked of who somebody is."""

    oid: Oid
    name: Text
    checked: Text


class TrustAnchorSettings(_Section, frozen=True):
    """How far a trust anchor's word goes.

    `assurance_class` (in the file: `class`) is that of every certificate below it; up to `max_class` its
    certificates may assert a class by its policy OID.
    """

    fingerprint: Fingerprint
    assurance_class: AssuranceClass = msgspec.field(default=0, name="class")
    max_class: AssuranceClass = 0


class CertToNameSettings(_Section, frozen=True):
    """One entry of the mapping from a verified certificate to a user (RFC 7407 section 4)."""

    id: EntryId
    fingerprint: Fingerprint
    map_type: MapType
    name: Text | UnsetType = UNSET
    pattern: Text | UnsetType = UNSET
    names: dict[Text, Text] | UnsetType = UNSET
    roles: tuple[RoleName, ...] | UnsetType = UNSET


class Settings(_Section, frozen=True):
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


def load_settings(path: Path) -> Settings:
    """Read the configuration; a missing file means every default.

    Raises:
        OperatorError: The file cannot be read, is not TOML, or holds an unknown key or a wrong value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read {path.name}: {error}; check its mode and that it is UTF-8") from error
    return parse_settings(text, path.name)


def parse_settings(text: str, file_name: str) -> Settings:
    """Parse the configuration's text; `file_name` is what errors call it.

    Raises:
        OperatorError: Not TOML, an unknown key, or a value outside its range.
    """
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise OperatorError(f"not valid TOML: {file_name}: {error}") from error
    _refuse_unknown_keys(tree, Settings, text, file_name)
    try:
        # Keys of a TOML table are text: `strict` would refuse those of [classes.1].
        settings = msgspec.convert(tree, Settings, str_keys=True)
    except msgspec.ValidationError as error:
        raise OperatorError(f"wrong value in {file_name}: {error}") from error
    for problem in _contradictions(settings):
        raise OperatorError(f"wrong value in {file_name}: {problem}")
    return settings


def _contradictions(settings: Settings) -> Iterator[str]:
    """Say which values do not go together."""
    if settings.session.idle_warning_s >= settings.session.idle_timeout_s:
        yield "idle_warning_s must be less than idle_timeout_s"
    if 0 in settings.classes:
        yield "class 0 is that of pins, and of whom nobody has looked into: number [classes] from 1"
    oids = [one.oid for one in settings.classes.values()]
    if not all(map(_is_oid, oids)):
        yield "an oid under [classes] is not one that a certificate can have"
    if len(set(oids)) < len(oids):
        yield "two [classes] have the same oid; give each its own"
    ids = [one.id for one in settings.cert_to_name]
    if len(set(ids)) < len(ids):
        yield "two [[cert_to_name]] entries have the same id; give each its own"
    yield from _shipping_contradictions(settings.audit.shipping)
    yield from _listener_contradictions(settings)
    if any(one.max_class < one.assurance_class for one in settings.trust_anchor if one.max_class):
        yield "max_class of a [[trust_anchor]] is less than its class"


def _listener_contradictions(settings: Settings) -> Iterator[str]:
    listener, limits = settings.listener, settings.limits
    if listener.user and any(line.run_as for line in settings.line):
        yield "a [[line]] has run_as, which takes root, and [listener] user gives root up"
    if settings.metrics.listen and not _is_loopback(settings.metrics.listen):
        yield "[metrics] listen is not an address of this machine alone; write 127.0.0.1:PORT"
    if listener.user and any(
        one.startswith(UNIX_PREFIX) for one in (listener.listen, *(also.listen for also in listener.also))
    ):
        yield "[listener] user goes with no address like unix:PATH; start the server as that user instead"
    if limits.handshakes_begin >= limits.handshakes_full:
        yield "handshakes_begin must be less than handshakes_full"
    yield from _address_contradictions(settings)


def _address_contradictions(settings: Settings) -> Iterator[str]:
    listener, limits = settings.listener, settings.limits
    for also in listener.also:
        if not also.listen.startswith(UNIX_PREFIX) and not _is_address(also.listen):
            yield f"{also.listen!r} is not an address: write HOST:PORT, or unix:PATH"
    for one in (*limits.exempt, *listener.proxies, *(network for also in listener.also for network in also.proxies)):
        if not _is_network(one):
            yield f"{one!r} is not a network: write an address, or one as in 192.0.2.0/24"


def _is_address(listen: str) -> bool:
    try:
        parse_address(listen)
    except OperatorError:
        return False
    return True


def _is_loopback(listen: str) -> bool:
    try:
        return ipaddress.ip_address(parse_address(listen)[0]).is_loopback
    except (ValueError, OperatorError):
        return False


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _shipping_contradictions(collectors: tuple[ShippingSettings, ...]) -> Iterator[str]:
    if len({one.name for one in collectors}) < len(collectors):
        yield "two [[audit.shipping]] entries have the same name; give each its own"
    for one in collectors:
        if bool(one.certificate) != bool(one.key):
            yield f"[[audit.shipping]] {one.name!r} has a certificate without a key, or a key without one"
        if (one.ca or one.certificate) and not one.to.startswith("syslog+tls:"):
            yield f"[[audit.shipping]] {one.name!r} has a ca or a certificate, and is not syslog+tls"


def _is_oid(text: str) -> bool:
    """Tell whether an OID can be written in DER."""
    try:
        policy = x509.PolicyInformation(x509.ObjectIdentifier(text), None)
        x509.CertificatePolicies([policy]).public_bytes()
    except ValueError:
        return False
    return True


def _refuse_unknown_keys(tree: dict[str, Any], section: type[_Section], text: str, file_name: str) -> None:
    known = {field.encode_name: field.type for field in msgspec.structs.fields(section)}
    for key, value in tree.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            raise OperatorError(f"unknown key {key!r} in {file_name} line {_line_of(key, text)}; {meant}")
        inner = _section_of(known[key])
        if inner is not None:
            for one in _tables_in(value, known[key]):
                _refuse_unknown_keys(one, inner, text, file_name)


def _section_of(kind: Any) -> type[_Section] | None:  # noqa: ANN401 -- a type expression
    """Return the kind of section that a key holds: itself, or the values of a table or list of them."""
    candidates = (kind, *typing.get_args(kind))
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, _Section)), None)


def _tables_in(value: Any, kind: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return the tables that stand for sections in a value of the file; what is no table is refused later."""
    match typing.get_origin(kind), value:
        case None, dict():
            return [value]
        case _, dict():
            return [one for one in value.values() if isinstance(one, dict)]
        case _, list():
            return [one for one in value if isinstance(one, dict)]
    return []


def _line_of(key: str, text: str) -> int:
    written = re.compile(rf"^\s*(\[+\s*)?[\"']?{re.escape(key)}\b")
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines, 1) if written.match(line)), 1)


def parse_address(text: str) -> tuple[str, int]:
    """Split `HOST:PORT` or `[IPV6]:PORT`.

    Returns: The host without brackets and the port (0 to 65535; 0 lets the system choose).
    Raises:
        OperatorError: No port, or a port that is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > PORT_MAX:
        raise OperatorError(f"not an address: {text!r}; write HOST:PORT, as in 127.0.0.1:9992")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host:
        raise OperatorError(f"no host in {text!r}; write 0.0.0.0:{port} to listen on every IPv4 address")
    return host, int(port)
