"""Looking an installation over before it is started: what a deploy runs first."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from telnetsd.administration.material import (
    EXPIRY_WARNING_DAYS,
    load_home_authority,
    load_home_trust,
    load_server_pair,
)
from telnetsd.audit.log import AuditLog
from telnetsd.commands.loading import load_commands
from telnetsd.commands.table import CommandTable
from telnetsd.config import load_settings, parse_address
from telnetsd.errors import OperatorError
from telnetsd.home import Home
from telnetsd.pki.certificate import days_left
from telnetsd.state import State


class Verdict(StrEnum):
    """How one part was found."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """One part of an installation, and how it was found."""

    part: str
    verdict: Verdict
    message: str


def examine(home: Home) -> list[Finding]:
    """Look at every part; an error in one does not hide the others."""
    parts: dict[str, Callable[[Home], Iterator[tuple[Verdict, str]]]] = {
        "configuration": _configuration,
        "trust anchors": _trust,
        "server certificate": _server,
        "built-in CA": _authority,
        "state": _state,
        "audit log": _audit,
    }
    findings: list[Finding] = []
    for part, look in parts.items():
        try:
            findings.extend(Finding(part, verdict, message) for verdict, message in look(home))
        except OperatorError as error:
            findings.append(Finding(part, Verdict.ERROR, str(error)))
    return findings


def _configuration(home: Home) -> Iterator[tuple[Verdict, str]]:
    settings = load_settings(home.config_file)
    parse_address(settings.listener.listen)
    table = CommandTable(load_commands(), settings.roles)
    origin = home.shown(home.config_file) if home.config_file.exists() else "no telnetsd.toml: every default"
    yield Verdict.OK, f"{origin}; roles {', '.join(sorted(table.roles))}"


def _trust(home: Home) -> Iterator[tuple[Verdict, str]]:
    for anchor in load_home_trust(home).anchors:
        yield _expiry(anchor.source, days_left(anchor.certificate.not_valid_after_utc, datetime.now(UTC)))


def _server(home: Home) -> Iterator[tuple[Verdict, str]]:
    chain, _ = load_server_pair(home)
    yield _expiry(home.shown(home.server_certificate), days_left(chain[0].not_valid_after_utc, datetime.now(UTC)))


def _authority(home: Home) -> Iterator[tuple[Verdict, str]]:
    if not home.ca_key.exists():
        yield Verdict.WARNING, "no certs/ca.key here: certificates cannot be issued on this machine"
        return
    load_home_authority(home)
    yield Verdict.OK, f"{home.shown(home.ca_key)} fits certs/ca.pem"


def _state(home: Home) -> Iterator[tuple[Verdict, str]]:
    if not home.state_file.exists():
        raise OperatorError("there is no state.db; is this the home folder? to make one: telnetsd init")
    with closing(State(home.state_file)) as state:
        count = len(state.list_users())
    yield Verdict.OK, f"{home.shown(home.state_file)}: {count} user{'' if count == 1 else 's'}"


def _audit(home: Home) -> Iterator[tuple[Verdict, str]]:
    if not home.audit_file.exists():
        yield Verdict.WARNING, f"there is no {home.shown(home.audit_file)} yet: the first event makes it"
        return
    with closing(AuditLog(home.audit_file)) as log:
        log.append([])
    yield Verdict.OK, f"{home.shown(home.audit_file)} can be written"


def _expiry(what: str, days: int) -> tuple[Verdict, str]:
    if days < 0:
        return Verdict.ERROR, f"{what} has expired; replace it"
    verdict = Verdict.WARNING if days < EXPIRY_WARNING_DAYS else Verdict.OK
    return verdict, f"{what} is valid for another {days} days"
