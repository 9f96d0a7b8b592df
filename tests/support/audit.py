"""The audit log as tests write and verify it, with a key that is always the same."""

from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from support.server import Event, action_of, get
from telnetsd.audit.chain import Head
from telnetsd.audit.checkpoint import AuditKey, PublicKeys, Seal, key_id_of
from telnetsd.audit.log import UNROTATED, AuditLog
from telnetsd.audit.reading.archive import read_lines, take_snapshot
from telnetsd.audit.reading.verification import Expectation, Report, verify
from telnetsd.audit.trail import make_event
from telnetsd.config.settings import AuditSettings
from telnetsd.events.of_the_server import ServerStarted
from telnetsd.events.part import Fields
from telnetsd.files.home import Home


def make_key(seed: int = 0) -> AuditKey:
    private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return AuditKey(private, PublicKeys({key_id_of(private.public_key()): private.public_key()}))


KEY = make_key()


def make_seal(key: AuditKey, head: Head) -> bytes:
    """Return the seal of a log that ends there and has no active writer."""
    return key.make_seal(Seal(head, head))


def open_test_log(path: Path, settings: AuditSettings = UNROTATED, key: AuditKey = KEY) -> AuditLog:
    return AuditLog(path, key, settings)


def event(text: str = "hello") -> Fields:
    return make_event(ServerStarted(message=text))


def verify_log(path: Path, key: AuditKey = KEY) -> Report:
    """Verify a log as an auditor does: with its files, its seal, and the public key."""
    snapshot = take_snapshot(path)
    return verify(read_lines(snapshot), Expectation(key.public, snapshot.seal, is_whole=True))


def assert_intact(path: Path, key: AuditKey = KEY) -> Report:
    report = verify_log(path, key)
    assert report.damage is None, report.damage
    return report


def read_log(path: Path) -> list[Event]:
    """Return every event of a log, over all of its files."""
    return [msgspec.json.decode(line.content) for line in read_lines(take_snapshot(path))]


def messages(path: Path) -> list[str]:
    """Return the messages of a log's events, without checkpoints."""
    return [one["message"] for one in read_log(path) if one["event"]["action"] != "audit-checkpoint"]


def line_events(home: Home) -> list[tuple[str, str, str]]:
    """Return action, reason and user of every event about a connection to a line."""
    found = [one for one in read_log(home.audit_file) if action_of(one).startswith("line-")]
    return [(action_of(one), one["event"]["reason"], get(one, "user.name")) for one in found]
