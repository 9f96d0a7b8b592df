"""The audit log of an installation, with the state's record of where it ended."""

from telnetsd.audit import log
from telnetsd.audit.chain import EMPTY, Head
from telnetsd.audit.log import UNROTATED, AuditLog
from telnetsd.config.settings import AuditSettings
from telnetsd.files.home import Home
from telnetsd.state.opening import audit_head_of


def open_log(home: Home, settings: AuditSettings = UNROTATED) -> AuditLog:
    """Open the audit log of an installation.

    Raises:
        OperatorError: The audit key is missing, open to others, or cannot be read.
        AuditUnavailableError: The file cannot be opened.
    """
    return log.open_log(home, settings, audit_head_of(home))


def remembered_end(home: Home) -> Head:
    """Return the last line of the log, as the state remembers it; EMPTY if it remembers none."""
    sequence, sha256 = audit_head_of(home).read()
    return Head(sequence, sha256) if sequence else EMPTY


def is_log_gone(home: Home) -> bool:
    """Tell whether the log has no files."""
    file = home.audit_file
    return not any(file.parent.glob(f"{file.stem}*{file.suffix}*"))
