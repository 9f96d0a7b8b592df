"""The public face for packages that bring commands: what is here stays, and everything else may change.

A package names its commands under the entry-point group `telnetsd.commands`; see docs/commands.md.
"""

from telnetsd.commands.caller import Caller, Question
from telnetsd.commands.table import AUDITOR_ROLE, OPERATOR_ROLE, USER_ROLE, Command, CommandError, command
from telnetsd.escaping import escape
from telnetsd.events.reason import CommandReason
from telnetsd.identity.outcome import GUEST_ROLE, Guest, NamedUser

__all__ = [
    "AUDITOR_ROLE",
    "GUEST_ROLE",
    "OPERATOR_ROLE",
    "USER_ROLE",
    "Caller",
    "Command",
    "CommandError",
    "CommandReason",
    "Guest",
    "NamedUser",
    "Question",
    "command",
    "escape",
]
