"""What a session prints at `serve --log-level debug`, for the operator: each line begins with the session's id."""

import logging
from collections.abc import MutableMapping
from typing import Any

from telnetsd.audit.reading.row import short_session_id

logger = logging.getLogger(__name__)


class Journal(logging.LoggerAdapter[logging.Logger]):
    """The journal of one session; text from a peer is escaped before it gets here, and a secret never gets here.

    Args:
        session_id: The session's UUIDv7.
    """

    def __init__(self, session_id: str) -> None:
        super().__init__(logger, {})
        self._prefix = f"session {short_session_id(session_id)}"

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:  # noqa: ANN401
        """Put the session's id before a message."""
        return f"{self._prefix}: {msg}", kwargs
