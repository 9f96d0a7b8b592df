"""Who runs a command line, for the log."""

import getpass

from telnetsd.audit.event import TEXT_MAX_CHARS, Fields
from telnetsd.escaping import escape


def operator_name() -> str:
    """Return the name of whoever runs this command line, for the log."""
    try:
        return escape(getpass.getuser(), TEXT_MAX_CHARS)
    except (KeyError, OSError):
        return "unknown"


def by_operator() -> Fields:
    """Return the fields that say on the log who runs this command line."""
    return {"telnetsd": {"operator": {"name": operator_name()}}}
