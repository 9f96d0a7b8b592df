"""The table of pins: public keys that were accepted for a user."""

from collections.abc import Iterator
from datetime import datetime

from telnetsd.pki.revocation import Revocation
from telnetsd.state.records import Pin, to_revocation, to_text, to_time
from telnetsd.state.sqlite.database import Database


class Pins:
    """See `state.store.PinTable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, spki_sha256: str) -> Pin | None:
        """See PinTable."""
        return next(self._select("spki_sha256 = ?", spki_sha256), None)

    def of_user(self, name: str) -> tuple[Pin, ...]:
        """See PinTable."""
        return tuple(self._select("user_name = ? ORDER BY added_at DESC, spki_sha256", name))

    def add(self, spki_sha256: str, user_name: str, at: datetime) -> None:
        """See PinTable."""
        self._database.execute(
            "INSERT OR REPLACE INTO pins VALUES (?, ?, ?, NULL, NULL)", (spki_sha256, user_name, to_text(at))
        )

    def revoke(self, spki_sha256: str, revocation: Revocation | None) -> None:
        """See PinTable."""
        values = (to_text(revocation.revoked_at), revocation.reason.value) if revocation else (None, None)
        self._database.execute(
            "UPDATE pins SET revoked_at = ?, revocation_reason = ? WHERE spki_sha256 = ?", (*values, spki_sha256)
        )

    def _select(self, where: str, value: str) -> Iterator[Pin]:
        rows = self._database.rows(
            f"SELECT spki_sha256, user_name, added_at, revoked_at, revocation_reason FROM pins WHERE {where}",
            (value,),
        )
        for spki, user_name, added_at, revoked_at, reason in rows:
            yield Pin(spki, user_name, to_time(added_at), to_revocation(revoked_at, reason))
