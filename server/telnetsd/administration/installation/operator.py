"""Who runs a command line, for the log: the operating system's user, and names that are only claimed."""

import os
import pwd
from pathlib import Path
from typing import Final

from telnetsd.escaping import escape
from telnetsd.events.context import OperatorPart
from telnetsd.events.fields import TEXT_MAX_CHARS
from telnetsd.events.part import Fields, to_fields

_LOGIN_UID: Final = Path("/proc/self/loginuid")
_NO_LOGIN: Final = 2**32 - 1
"""What Linux reports for a process without a login (audit_setloginuid(3))."""


def operator_name() -> str:
    """Return the name of the user that this process runs as: it comes from the system; no variable changes it."""
    return _name_of(os.getuid())


def by_operator() -> Fields:
    """Return the event fields that say who runs this command line.

    Besides the user's name, there are two more names: the login name, as far as the system knows it, and the name
    that the user claims to have had before `sudo`. Both are claims: the log does not rely on them.
    """
    sudo_user = os.environ.get("SUDO_USER")
    return to_fields(
        OperatorPart(
            name=operator_name(),
            login=_login_name() or None,
            sudo_user=escape(sudo_user, TEXT_MAX_CHARS) if sudo_user is not None else None,
        )
    )


def _login_name() -> str:
    try:
        uid = int(_LOGIN_UID.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return ""
    return _name_of(uid) if uid != _NO_LOGIN else ""


def _name_of(uid: int) -> str:
    try:
        return escape(pwd.getpwuid(uid).pw_name, TEXT_MAX_CHARS)
    except KeyError:
        return f"uid {uid}"
