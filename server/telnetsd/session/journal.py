"""What a session prints at `serve --log-level debug`, for the operator: each line begins with the session's id."""

import logging
from typing import Final

from telnetsd.audit.reading.row import short_session_id

logger: Final = logging.getLogger(__name__)


class Journal:
    """The journal of one session; text from a peer is escaped before it gets here, and a secret never gets here.

    Args:
        session_id: The session's UUIDv7.
    """

    __slots__ = ("_session_id",)

    def __init__(self, session_id: str) -> None:
        self._session_id = session_id

    def debug(self, message: str, *arguments: object) -> None:
        """Print a step of the session, if steps are printed; `message` is a format as in `logging`."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("session %s: %s", short_session_id(self._session_id), message % arguments)
