"""Changing the audit key."""

from contextlib import closing

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from telnetsd.administration.installation.operator import by_operator
from telnetsd.audit.checkpoint import AuditKey, key_id_of
from telnetsd.audit.key import keep_audit_key, load_audit_key
from telnetsd.audit.log import AuditLog
from telnetsd.audit.trail import make_event
from telnetsd.errors import OperatorError
from telnetsd.events.of_the_server import AuditKeyChanged
from telnetsd.events.reason import CheckpointReason
from telnetsd.files.home import Home, alone
from telnetsd.state.opening import audit_head_of


def change_audit_key(home: Home) -> None:
    """Create a new audit key, and record this in the log under the previous key's signature.

    Without a previous key (it was lost, or is broken), the new key signs the event about itself.

    Raises:
        OperatorError: A server is running (it would continue to sign with the previous key), the previous key cannot
            be read, or the log cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    key_id = key_id_of(key.public_key())
    with alone(home):
        former = _load_former(home)
        if former is not None:
            message = f"the audit log is signed with a new key from now on: {key_id}"
            _tell(home, former, AuditKeyChanged(message=message, key_id=key_id))
        keep_audit_key(home, key)
        if former is None:
            message = f"the audit log is signed with a new key from now on: {key_id}; the previous one was lost"
            _tell(home, load_audit_key(home), AuditKeyChanged(message=message, key_id=key_id))


def _tell(home: Home, key: AuditKey, event: AuditKeyChanged) -> None:
    with closing(AuditLog(home.audit_file, key, witness=audit_head_of(home))) as log:
        log.append([make_event(event, by_operator())])
        # Its signature covers the event, also in a copy of the log that has no seal.
        log.checkpoint(CheckpointReason.REQUESTED)


def _load_former(home: Home) -> AuditKey | None:
    """Return the previous key; None if it was lost or can no longer be used."""
    try:
        return load_audit_key(home)
    except OperatorError:
        return None
