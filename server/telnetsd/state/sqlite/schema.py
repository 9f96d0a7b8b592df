"""The tables, and the migration of a database from an older version to the current one.

The certificates of a removed user are kept: they stay on the CRL until they expire.
"""

from pathlib import Path
from typing import Final

from telnetsd.errors import OperatorError
from telnetsd.state.sqlite.database import Database

_USERS: Final = """
CREATE TABLE users (
    name TEXT PRIMARY KEY,
    added_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE user_roles (
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (user_name, role)
) STRICT, WITHOUT ROWID;
CREATE TABLE certificates (
    sha256 TEXT PRIMARY KEY,
    user_name TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    issuer_sha256 TEXT NOT NULL,
    spki_sha256 TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    public_key TEXT NOT NULL,
    not_before TEXT NOT NULL,
    not_after TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
_LIFE: Final = """
ALTER TABLE users ADD COLUMN is_mapped INTEGER NOT NULL DEFAULT 0;
CREATE TABLE issued (
    sha256 TEXT PRIMARY KEY,
    user_name TEXT NOT NULL,
    issuer_sha256 TEXT NOT NULL,
    spki_sha256 TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    public_key TEXT NOT NULL,
    not_before TEXT NOT NULL,
    not_after TEXT NOT NULL,
    assurance_class INTEGER NOT NULL,
    is_renewed INTEGER NOT NULL,
    revoked_at TEXT,
    revocation_reason TEXT,
    der BLOB
) STRICT;
INSERT INTO issued
    SELECT sha256, user_name, issuer_sha256, spki_sha256, serial_number, public_key, not_before, not_after, 0, 0,
        NULL, NULL, NULL
    FROM certificates ORDER BY not_before, sha256;
DROP TABLE certificates;
ALTER TABLE issued RENAME TO certificates;
CREATE UNIQUE INDEX certificates_by_serial ON certificates (issuer_sha256, serial_number);
CREATE INDEX certificates_by_user ON certificates (user_name, not_after);
CREATE INDEX certificates_by_key ON certificates (spki_sha256);
CREATE INDEX certificates_revoked ON certificates (issuer_sha256, revoked_at) WHERE revoked_at IS NOT NULL;
CREATE TABLE pins (
    spki_sha256 TEXT PRIMARY KEY,
    user_name TEXT NOT NULL,
    added_at TEXT NOT NULL,
    revoked_at TEXT,
    revocation_reason TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX pins_by_user ON pins (user_name);
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    subject TEXT NOT NULL,
    public_key TEXT NOT NULL,
    spki_sha256 TEXT NOT NULL,
    source TEXT NOT NULL,
    requested_at TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    user_name TEXT,
    certificate_sha256 TEXT,
    replaces_sha256 TEXT,
    code_sha256 TEXT NOT NULL,
    code_failures INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_by_source ON requests (source);
CREATE INDEX requests_by_key ON requests (spki_sha256);
CREATE TABLE crl_numbers (
    issuer_sha256 TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE changes (
    id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
"""
_REMOVED: Final = """
CREATE TABLE IF NOT EXISTS removed_users (
    name TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
"""
_AUDIT_HEAD: Final = """
CREATE TABLE audit_head (
    id INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;
"""
_LABELS: Final = """
ALTER TABLE certificates ADD COLUMN label TEXT NOT NULL DEFAULT '';
"""
_FORMER_NAMES: Final = """
CREATE TABLE former_names (
    name TEXT PRIMARY KEY,
    user_name TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""
_FLEET: Final = """
CREATE TABLE fleet_nodes (
    name TEXT PRIMARY KEY,
    life INTEGER NOT NULL,
    capabilities TEXT NOT NULL,
    certificate BLOB NOT NULL,
    engine_key TEXT NOT NULL,
    added_at TEXT NOT NULL,
    revoked_at TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE fleet_invitations (
    node TEXT PRIMARY KEY,
    capabilities TEXT NOT NULL,
    names TEXT NOT NULL,
    addresses TEXT NOT NULL,
    code_sha256 TEXT NOT NULL,
    expires_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE fleet_membership (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    fleet TEXT NOT NULL,
    node TEXT NOT NULL,
    is_founding INTEGER NOT NULL,
    first_sha256 TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    sha256 TEXT NOT NULL
) STRICT;
CREATE TABLE fleet_applied (
    position INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE fleet_pending (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL
) STRICT;
"""
_STEPS: Final = (_USERS, _LIFE, _REMOVED, _AUDIT_HEAD, _LABELS, _FORMER_NAMES, _FLEET)
SCHEMA_VERSION: Final = len(_STEPS)


def is_current(database: Database) -> bool:
    """Tell whether a database has the current version: a reader need not wait for a writer."""
    (version,) = database.one_row("PRAGMA user_version")
    return bool(version == SCHEMA_VERSION)


def migrate(database: Database, path: Path) -> None:
    """Migrate a database to the current version; inside a transaction.

    Raises:
        OperatorError: A newer telnetsd wrote the database.
    """
    (version,) = database.one_row("PRAGMA user_version")
    if version > SCHEMA_VERSION:
        raise OperatorError(f"{path} was written by a newer telnetsd; install that version")
    for step in _STEPS[version:]:
        # executescript() would commit the transaction implicitly.
        for statement in step.split(";"):
            database.execute(statement)
    if version < SCHEMA_VERSION:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
