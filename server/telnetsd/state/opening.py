"""Opening the store of an installation: the only place that names the engine behind it."""

from telnetsd.errors import OperatorError
from telnetsd.files.home import Home
from telnetsd.state.sqlite.audit_head import AuditHead
from telnetsd.state.sqlite.store import SqliteStore
from telnetsd.state.store import AuditHeadMemory, Store


def open_store(home: Home, *, create: bool = False) -> Store:
    """Open the store of an installation.

    Args:
        home: The installation.
        create: Create a store if there is none.

    Raises:
        OperatorError: There is no store, it cannot be opened, or a newer telnetsd wrote it.
    """
    if not create:
        require_store(home)
    return SqliteStore(home.state_file)


def require_store(home: Home) -> None:
    """Refuse to continue if there is no store.

    Raises:
        OperatorError: There is no store.
    """
    if not home.state_file.exists():
        raise OperatorError(f"no state at {home.state_file}; is this the home folder? to create one: telnetsd init")


def audit_head_of(home: Home) -> AuditHeadMemory:
    """Return the memory of where the audit log ended."""
    return AuditHead(home.state_file)
