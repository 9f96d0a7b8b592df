"""The exception tree: whose fault it is.

A `PeerError` is a mistake (or an attack) of whoever is connected; it ends a handshake, a command or a session
and never the server. An `OperatorError` is for whoever runs the server to fix: one line that says what is wrong,
where, and what to do. Only `cli` and `connection` catch the base classes.
"""


class TelnetsdError(Exception):
    """Base of every error that telnetsd raises on purpose."""


class PeerError(TelnetsdError):
    """The connected client did something that is refused."""


class OperatorError(TelnetsdError):
    """Something on this machine needs the operator: what, where, remedy, in one line."""


class StoreError(TelnetsdError):
    """The engine of the store fails: it is locked for too long, or damaged, or the disk is full."""


class StoreConflictError(StoreError):
    """What is to be added is there already, or names what is not."""
