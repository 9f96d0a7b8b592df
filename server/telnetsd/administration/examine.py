"""Checking an installation before it is started: what a deployment runs first."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.administration.authority.authorities import (
    built_in_authorities,
    chain_above,
    issuing_key_file,
    load_certificate_of_issuer,
    load_issuer,
)
from telnetsd.administration.authority.trust import list_trust
from telnetsd.administration.installation.audit_log import is_log_gone, open_log, remembered_end
from telnetsd.administration.installation.change import recover
from telnetsd.administration.installation.generation import (
    EXPIRY_WARNING_DAYS,
    load_home_authorities,
    load_home_trust,
    load_lines,
    load_server_pair,
    load_table,
    make_policy,
)
from telnetsd.administration.replication.node_key import load_node_key
from telnetsd.audit.key import load_audit_key
from telnetsd.config.address import unix_path
from telnetsd.config.contradictions import listen_settings
from telnetsd.config.loading import load_settings
from telnetsd.config.settings import FleetSettings, Settings
from telnetsd.config.values import CrlPolicy, fingerprint_hex
from telnetsd.errors import OperatorError
from telnetsd.files.freshness import Freshness
from telnetsd.files.home import Home, require_only_ours
from telnetsd.listener.sockets import require_address
from telnetsd.notify.delivery import Receiver
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.pki.facts import days_left
from telnetsd.pki.keys import is_locked_pem
from telnetsd.pki.path import Signer
from telnetsd.pki.trust import authority_limits
from telnetsd.state.opening import open_store


class CheckResult(StrEnum):
    """The result of examining one part."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of an installation, and the result of examining it."""

    part: str
    verdict: CheckResult
    message: str


_Look = Callable[[Home], Iterator[tuple[CheckResult, str]]]


def examine(home: Home) -> list[Finding]:
    """Examine every part; an error in one does not hide the others."""
    parts: dict[str, _Look] = {
        "files": _files,
        "trust anchors": _trust,
        "server certificate": _server,
        "built-in CA": _authority,
        "state": _state,
        "audit log": _audit,
    }
    try:
        settings = load_settings(home.config_file)
    except OperatorError as error:
        # Parts that depend on the configuration are skipped: each would report the same error.
        configuration = [Finding("configuration", CheckResult.ERROR, str(error))]
    else:
        configuration = []
        parts = {
            "configuration": partial(_configuration, settings=settings),
            "addresses": partial(_addresses, settings=settings),
            "lines": partial(_lines, settings=settings),
            "mapping": partial(_mapping, settings=settings),
            "CRLs": partial(_crls, settings=settings),
            "notifications": partial(_notifications, settings=settings),
            "fleet": partial(_fleet, settings=settings),
            **parts,
        }
    return [*configuration, *(finding for part, look in parts.items() for finding in _findings(home, part, look))]


def _findings(home: Home, part: str, look: _Look) -> Iterator[Finding]:
    try:
        for verdict, message in look(home):
            yield Finding(part, verdict, message)
    except OperatorError as error:
        yield Finding(part, CheckResult.ERROR, str(error))


def _files(home: Home) -> Iterator[tuple[CheckResult, str]]:
    require_only_ours(home)
    yield CheckResult.OK, "no other user can write to the files that control access"


def _programs(settings: Settings) -> Iterator[str]:
    """Yield the programs that run as the server's user."""
    for line in settings.line:
        if line.target.startswith("exec:") and not line.run_as:
            yield f"line {line.name}"
    for command in settings.command:
        yield f"command {command.name}"


def _configuration(home: Home, settings: Settings) -> Iterator[tuple[CheckResult, str]]:
    table = load_table(settings)
    origin = home.shown(home.config_file) if home.config_file.exists() else "no telnetsd.toml: all defaults"
    yield CheckResult.OK, f"{origin}; roles {', '.join(sorted(table.roles))}"
    for what in _programs(settings):
        danger = "runs a program as the server's user, who can read the CA's key and change the audit log"
        yield (
            CheckResult.WARNING,
            f"{what} {danger}: restrict it to operators if it runs user input; see docs/lines.md",
        )


def _notifications(home: Home, settings: Settings) -> Iterator[tuple[CheckResult, str]]:
    for entry in settings.notify:
        yield CheckResult.OK, f"{Receiver(home, entry).name}: {', '.join(entry.actions)}"


def _fleet(home: Home, settings: Settings) -> Iterator[tuple[CheckResult, str]]:
    fleet = settings.fleet
    if not home.fleet_node_certificate.exists():
        if fleet.name:
            yield CheckResult.ERROR, f"this home folder is no node of {fleet.name}; to join: telnetsd fleet join"
        return
    with closing(open_store(home)) as state:
        membership = state.fleet.require_membership()
    if (fleet.name, fleet.node) != (membership.fleet, membership.node):
        is_called = f"name {membership.fleet} and node {membership.node}"
        yield CheckResult.ERROR, f"[fleet] of telnetsd.toml does not have the {is_called} of state.db"
    load_node_key(home)
    yield _currency(Freshness(home.fleet_freshness), fleet, datetime.now(UTC))


def _currency(freshness: Freshness, fleet: FleetSettings, now: datetime) -> tuple[CheckResult, str]:
    last, cut_off_s = freshness.last(), freshness.cut_off_s(now)
    if last is None:
        return CheckResult.WARNING, "this node has never been current; see: telnetsd fleet status"
    when = f"{last:%Y-%m-%d %H:%M} UTC"
    if cut_off_s > fleet.stale_after_s:
        return CheckResult.ERROR, f"this node is cut off since {when}, and on_stale is {fleet.on_stale}"
    if cut_off_s:
        return CheckResult.WARNING, f"this node is cut off since {when}, or no server runs here"
    return CheckResult.OK, f"the node {fleet.node} of {fleet.name} has every change"


def _addresses(_: Home, settings: Settings) -> Iterator[tuple[CheckResult, str]]:
    addresses = [listen for _, listen in listen_settings(settings)]
    for listen in addresses:
        require_address(listen)
        path = unix_path(listen)
        if path is not None and not path.parent.is_dir():
            yield (
                CheckResult.WARNING,
                f"{listen}: folder {path.parent} not found; it must exist when the server starts",
            )
    yield CheckResult.OK, ", ".join(addresses)


def _lines(home: Home, settings: Settings) -> Iterator[tuple[CheckResult, str]]:
    lines = list(load_lines(home, settings))
    for line in lines:
        if line.settings.keep_open and line.of_kind.starts_afresh and len(line.settings.roles) > 1:
            message = (
                f"{line.name} is one program for the users of {len(line.settings.roles)} roles, and does not know"
                " which of them types; give it one role, or omit keep_open"
            )
            yield CheckResult.WARNING, message
    yield CheckResult.OK, f"{len(lines)}{': ' if lines else ''}{', '.join(line.name for line in lines)}"


def _trust(home: Home) -> Iterator[tuple[CheckResult, str]]:
    for authority in list_trust(home):
        limits = authority_limits(authority.certificate)
        if limits:
            yield CheckResult.WARNING, f"{authority.source} cannot vouch for any user: {limits}; remove it"
        if authority.is_anchor:
            yield _expiry(authority.source, _days(authority.certificate))


def _mapping(home: Home, settings: Settings) -> Iterator[tuple[CheckResult, str]]:
    trust = load_home_authorities(home)
    policy = make_policy(home, settings, trust)
    yield CheckResult.OK, f"cert-to-name entries: {len(policy.entries)}; assurance classes: {len(settings.classes)}"
    anchors = {certificate_sha256(one) for one in trust.certificates}
    for one in settings.trust_anchor:
        if fingerprint_hex(one.fingerprint) not in anchors:
            yield (
                CheckResult.WARNING,
                f"[[trust_anchor]] {one.fingerprint[:23]}… is not a trust anchor; see: trust list",
            )


def _crls(home: Home, settings: Settings) -> Iterator[tuple[CheckResult, str]]:
    trust, now = load_home_trust(home), datetime.now(UTC)
    problems = trust.crls.find_problems(trust.authorities, now)
    is_required = settings.identity.crl_policy is CrlPolicy.REQUIRE
    for problem in problems:
        yield (CheckResult.ERROR if is_required else CheckResult.WARNING), problem.message
    yield CheckResult.OK, f"{len(trust.crls.lists)} read; crl_policy is {settings.identity.crl_policy.value}"
    for unmatched in trust.crls.find_unmatched(trust.authorities):
        yield CheckResult.OK, unmatched.message
    for authority in list_trust(home) if is_required else ():
        is_own = authority.source == home.shown(home.ca_certificate)
        if not is_own and not trust.crls.covers(Signer(authority.certificate, authority.sha256), now):
            yield CheckResult.WARNING, f"{authority.source} has no current CRL: its certificates are refused"


def _server(home: Home) -> Iterator[tuple[CheckResult, str]]:
    chain, _ = load_server_pair(home)
    yield _expiry(home.shown(home.server_certificate), _days(chain[0]))


def _authority(home: Home) -> Iterator[tuple[CheckResult, str]]:
    for certificate, role in built_in_authorities(home):
        verdict, message = _expiry(f"{certificate_sha256(certificate)[:16]} ({role})", _days(certificate))
        yield verdict, message
    issuer = load_certificate_of_issuer(home)
    top = chain_above(home, issuer.public_bytes(Encoding.DER))[-1]
    if top.issuer != top.subject:
        yield CheckResult.ERROR, "certs/issuing.pem was not issued by certs/ca.pem; put back the matching pair"
    key = issuing_key_file(home)
    if not key.exists():
        yield CheckResult.WARNING, f"{home.shown(key)} not found: certificates cannot be issued on this machine"
        return
    if is_locked_pem(key.read_bytes()):
        yield CheckResult.OK, f"{home.shown(key)} is encrypted: it was not checked"
        return
    load_issuer(home)
    yield CheckResult.OK, f"{home.shown(key)} matches its certificate"


def _state(home: Home) -> Iterator[tuple[CheckResult, str]]:
    if not home.state_file.exists():
        raise OperatorError("state.db not found; is this the home folder? to create one: telnetsd init")
    recover(home)
    with closing(open_store(home)) as state:
        count = len(state.users.names())
    yield CheckResult.OK, f"{home.shown(home.state_file)}: {count} user{'' if count == 1 else 's'}"


def _audit(home: Home) -> Iterator[tuple[CheckResult, str]]:
    yield (
        CheckResult.OK,
        f"signed by the key {load_audit_key(home).id[:16]}; verify with {home.shown(home.audit_public_keys)}",
    )
    lines = remembered_end(home).sequence
    if lines and is_log_gone(home):
        yield (
            CheckResult.ERROR,
            f"the audit log is missing: it had at least {lines} lines; restore a backup of audit/",
        )
        return
    if not home.audit_file.exists():
        yield CheckResult.WARNING, f"{home.shown(home.audit_file)} does not exist yet: the first event creates it"
        return
    with closing(open_log(home)) as log:
        log.append([])
    yield CheckResult.OK, f"{home.shown(home.audit_file)} is writable"


def _days(certificate: x509.Certificate) -> int:
    return days_left(certificate.not_valid_after_utc, datetime.now(UTC))


def _expiry(what: str, days: int) -> tuple[CheckResult, str]:
    if days < 0:
        return CheckResult.ERROR, f"{what} has expired; replace it"
    verdict = CheckResult.WARNING if days < EXPIRY_WARNING_DAYS else CheckResult.OK
    return verdict, f"{what} is valid for another {days} days"
