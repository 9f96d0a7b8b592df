"""What a node of a fleet does while it is cut off: it serves, says so, and after a long time maybe not everybody."""

from datetime import UTC, datetime

from telnetsd.config.settings import FleetSettings
from telnetsd.config.values import StalePolicy
from telnetsd.files.freshness import Freshness

OPERATOR_ROLE = "operator"


class Staleness:
    """How current this server is.

    Args:
        freshness: When it was last current; None for a server of no fleet.
        settings: From when on, and what then.
    """

    def __init__(self, freshness: Freshness | None, settings: FleetSettings) -> None:
        self._freshness = freshness
        self._settings = settings
        self._begun_at = datetime.now(UTC)

    def cut_off_since(self, now: datetime) -> datetime | None:
        """Return since when this server may lack changes; None if it does not, or is in no fleet."""
        if self._freshness is None or not self._freshness.cut_off_s(now):
            return None
        return self._freshness.last() or self._begun_at

    def is_refused(self, roles: frozenset[str], now: datetime) -> bool:
        """Tell whether a client with some roles may not log in, since this server was cut off for too long."""
        policy = self._settings.on_stale
        if self._freshness is None or policy is StalePolicy.CONTINUE:
            return False
        if self._freshness.cut_off_s(now) <= self._settings.stale_after_s:
            return False
        return policy is StalePolicy.REFUSE or OPERATOR_ROLE not in roles
