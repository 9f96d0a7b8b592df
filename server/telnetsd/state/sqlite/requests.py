"""The table of enrolment requests: bounded by the limits of the callers, and emptied as the requests expire."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from telnetsd.state.records import EnrolmentRequest, RequestKind, RequestStatus, to_text, to_time
from telnetsd.state.sqlite.database import Database

_COLUMNS: Final = (
    "id, kind, name, subject, public_key, spki_sha256, source, requested_at, expires_at, status, user_name,"
    " certificate_sha256, replaces_sha256, code_failures"
)
_FIELDS: Final = tuple(name.strip() for name in _COLUMNS.split(","))


class Requests:
    """See `state.store.RequestTable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, request_id: str) -> EnrolmentRequest | None:
        """See RequestTable."""
        return next(self._select("id = ?", request_id), None)

    def of_key(self, spki_sha256: str) -> list[EnrolmentRequest]:
        """See RequestTable."""
        return list(self._select("spki_sha256 = ? ORDER BY requested_at DESC, id", spki_sha256))

    def replacing_key(self, spki_sha256: str) -> list[EnrolmentRequest]:
        """See RequestTable."""
        where = "replaces_sha256 IN (SELECT sha256 FROM certificates WHERE certificates.spki_sha256 = ?)"
        return list(self._select(f"{where} ORDER BY requested_at DESC, id", spki_sha256))

    def every(self) -> list[EnrolmentRequest]:
        """See RequestTable."""
        return list(self._select("TRUE ORDER BY requested_at, id"))

    def expired(self, at: datetime) -> list[EnrolmentRequest]:
        """See RequestTable."""
        return list(self._select("expires_at <= ?", to_text(at)))

    def content_of(self, request_id: str) -> bytes:
        """See RequestTable."""
        (content,) = self._database.one_row("SELECT content FROM requests WHERE id = ?", (request_id,))
        return bytes(content)

    def code_of(self, request_id: str) -> str:
        """See RequestTable."""
        (code,) = self._database.one_row("SELECT code_sha256 FROM requests WHERE id = ?", (request_id,))
        return str(code)

    def add(self, one: EnrolmentRequest, content: bytes, code_sha256: str) -> None:
        """See RequestTable."""
        self._database.execute(
            f"INSERT INTO requests ({_COLUMNS}, content, code_sha256)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                one.id,
                one.kind.value,
                one.name,
                one.subject,
                one.public_key,
                one.spki_sha256,
                one.source,
                to_text(one.requested_at),
                to_text(one.expires_at),
                one.status.value,
                one.user_name,
                one.certificate_sha256,
                one.replaces_sha256,
                one.code_failures,
                content,
                code_sha256,
            ),
        )

    def decide(
        self, request_id: str, status: RequestStatus, user_name: str | None = None, certificate_sha256: str = ""
    ) -> None:
        """See RequestTable."""
        self._database.execute(
            "UPDATE requests SET status = ?, user_name = coalesce(?, user_name),"
            " certificate_sha256 = coalesce(nullif(?, ''), certificate_sha256) WHERE id = ?",
            (status.value, user_name, certificate_sha256, request_id),
        )

    def count_failure(self, request_id: str) -> None:
        """See RequestTable."""
        self._database.execute("UPDATE requests SET code_failures = code_failures + 1 WHERE id = ?", (request_id,))

    def remove(self, request_id: str) -> None:
        """See RequestTable."""
        self._database.execute("DELETE FROM requests WHERE id = ?", (request_id,))

    def count(self) -> int:
        """See RequestTable."""
        return int(self._database.one_row("SELECT count(*) FROM requests")[0])

    def count_pending(self) -> int:
        """See RequestTable."""
        where = "status = ? AND kind <> ?"
        values = (RequestStatus.PENDING.value, RequestKind.RENEWAL.value)
        return int(self._database.one_row(f"SELECT count(*) FROM requests WHERE {where}", values)[0])

    def pending_of_strangers(self) -> list[EnrolmentRequest]:
        """See RequestTable."""
        where = "status = ? AND kind <> ? ORDER BY requested_at, id"
        return list(self._select(where, RequestStatus.PENDING.value, RequestKind.RENEWAL.value))

    def count_pending_from(self, source: str) -> int:
        """See RequestTable."""
        values = (RequestStatus.PENDING.value, source)
        statement = "SELECT count(*) FROM requests WHERE status = ? AND source = ?"
        return int(self._database.one_row(statement, values)[0])

    def has_pending_renewal(self, replaces_sha256: str) -> bool:
        """See RequestTable."""
        values = (RequestStatus.PENDING.value, replaces_sha256)
        row = self._database.row("SELECT 1 FROM requests WHERE status = ? AND replaces_sha256 = ?", values)
        return row is not None

    def _select(self, where: str, *values: str) -> Iterator[EnrolmentRequest]:
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM requests WHERE {where}", values)
        for row in rows:
            fields = dict(zip(_FIELDS, row, strict=True))
            fields["kind"], fields["status"] = RequestKind(fields["kind"]), RequestStatus(fields["status"])
            for name in ("requested_at", "expires_at"):
                fields[name] = to_time(fields[name])
            yield EnrolmentRequest(**fields)
