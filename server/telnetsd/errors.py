"""The exception tree, by whose fault an error is.

A `PeerError` is a mistake (or an attack) of the connected peer; it ends a handshake, a command or a session, and
never the server. An `OperatorError` is for the operator to fix: one line that says what is wrong, where, and what to
do. Only `cli` and `connection` catch the base classes.
"""


class TelnetsdError(Exception):
    """Base of every error that telnetsd raises on purpose."""


class PeerError(TelnetsdError):
    """The connected client did something that is refused."""


class OperatorError(TelnetsdError):
    """Something on this machine needs the operator's attention: what, where, remedy, in one line."""


class StoreError(TelnetsdError):
    """The storage engine fails: it is locked for too long, or damaged, or the disk is full."""


class StoreConflictError(StoreError):
    """The item to be added exists already, or it names one that does not exist."""
