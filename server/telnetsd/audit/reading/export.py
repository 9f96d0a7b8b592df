"""The log in the formats of other programs: CSV for spreadsheets, CEF for security tools.

A peer may have typed text that targets the program that reads the export. So a cell that a spreadsheet would treat
as a formula is marked as text, and the separators of fields in CEF are escaped.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import msgspec

from telnetsd import __version__
from telnetsd.audit.reading.row import LoggedEvent, text_of
from telnetsd.events.catalogue import ACTIONS
from telnetsd.events.fields import Outcome, parse_timestamp

COLUMNS: Final = {
    "time": "@timestamp",
    "sequence": "event.sequence",
    "action": "event.action",
    "outcome": "event.outcome",
    "reason": "event.reason",
    "user": "user.name",
    "roles": "user.roles",
    "target": "user.target.name",
    "operator": "telnetsd.operator.name",
    "source_ip": "source.ip",
    "source_port": "source.port",
    "session": "telnetsd.session.id",
    "identity": "telnetsd.identity.kind",
    "certificate": "telnetsd.certificate.status",
    "subject": "tls.client.subject",
    "issuer": "tls.client.issuer",
    "serial_number": "tls.client.x509.serial_number",
    "sha256": "tls.client.hash.sha256",
    "command": "telnetsd.command.line",
    "line": "telnetsd.line.name",
    "typed": "telnetsd.line.command",
    "recording": "telnetsd.recording.file",
    "message": "message",
}
"""The columns of the CSV, and the field of each."""
_CEF_FIELDS: Final = {
    "externalId": "event.sequence",
    "act": "event.action",
    "outcome": "event.outcome",
    "reason": "event.reason",
    "suser": "user.name",
    "duser": "user.target.name",
    "src": "source.ip",
    "spt": "source.port",
    "cs1": "telnetsd.session.id",
    "cs2": "tls.client.subject",
    "cs3": "telnetsd.command.line",
    "cs4": "telnetsd.line.name",
    "cs5": "telnetsd.line.command",
    "fname": "telnetsd.recording.file",
    "msg": "message",
}
_CEF_LABELS: Final = {"cs1": "session", "cs2": "subject", "cs3": "command", "cs4": "line", "cs5": "typed"}
VALUE_MAX_CHARS: Final = 65536
_FORMULA: Final = ("=", "+", "-", "@")
_CEF_SEVERITY: Final = {Outcome.SUCCESS: 3, Outcome.FAILURE: 6}


class ExportFormat(StrEnum):
    """The format of an export."""

    JSON = "json"
    CSV = "csv"
    CEF = "cef"


def export(events: Iterable[LoggedEvent], to: ExportFormat) -> Iterator[str]:
    """Yield the lines of an export, without their newlines."""
    match to:
        case ExportFormat.JSON:
            yield from (msgspec.json.encode(event).decode() for event in events)
        case ExportFormat.CSV:
            yield from _csv(events)
        case ExportFormat.CEF:
            yield from map(_cef, events)


def _csv(events: Iterable[LoggedEvent]) -> Iterator[str]:
    yield ",".join(COLUMNS)
    for event in events:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(
            _cell(text_of(event, path, VALUE_MAX_CHARS)) for path in COLUMNS.values()
        )
        yield line.getvalue()


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _cef(event: LoggedEvent) -> str:
    action, outcome = text_of(event, "event.action"), text_of(event, "event.outcome")
    name = ACTIONS[action].summary if action in ACTIONS else action
    severity = _CEF_SEVERITY[Outcome.FAILURE if outcome == Outcome.FAILURE else Outcome.SUCCESS]
    header = "|".join(_cef_header(one) for one in ("telnetsd", "telnetsd", __version__, action, name))
    values = {key: text_of(event, path, VALUE_MAX_CHARS) for key, path in _CEF_FIELDS.items()}
    labels = {f"{key}Label": label for key, label in _CEF_LABELS.items() if values[key]}
    pairs = {"rt": _milliseconds(event), **values, **labels}
    extension = " ".join(f"{key}={_cef_value(value)}" for key, value in pairs.items() if value)
    return f"CEF:0|{header}|{severity}|{extension}"


def _milliseconds(event: LoggedEvent) -> str:
    at = parse_timestamp(text_of(event, "@timestamp"))
    return "" if at is None else str(int(at.timestamp() * 1000))


def _cef_header(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|")


def _cef_value(text: str) -> str:
    return text.replace("\\", "\\\\").replace("=", "\\=")
