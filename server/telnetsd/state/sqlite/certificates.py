"""The table of issued certificates, with their revocations and the numbers of the CRLs that list them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from telnetsd.events.reason import RevocationReason
from telnetsd.pki.revocation import Revocation
from telnetsd.state.records import IssuedCertificate, to_revocation, to_text, to_time
from telnetsd.state.sqlite.database import Database

_COLUMNS: Final = (
    "sha256, user_name, issuer_sha256, spki_sha256, serial_number, public_key, not_before, not_after,"
    " assurance_class, is_renewed, label, revoked_at, revocation_reason"
)


class Certificates:
    """See `state.store.CertificateTable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, one: IssuedCertificate, der: bytes | None) -> None:
        """See CertificateTable."""
        self._database.execute(
            f"INSERT INTO certificates ({_COLUMNS}, der) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?)",
            (
                one.sha256,
                one.user_name,
                one.issuer_sha256,
                one.spki_sha256,
                one.serial_number,
                one.public_key,
                to_text(one.not_before),
                to_text(one.not_after),
                one.assurance_class,
                int(one.is_renewed),
                one.label,
                der,
            ),
        )

    def find(self, sha256: str) -> IssuedCertificate | None:
        """See CertificateTable."""
        return next(self._select("sha256 = ?", sha256), None)

    def with_serial(self, serial_number: str) -> list[IssuedCertificate]:
        """See CertificateTable."""
        return list(self._select("serial_number = ?", serial_number))

    def of_user(self, name: str) -> tuple[IssuedCertificate, ...]:
        """See CertificateTable."""
        # Two certificates may be issued in the same second: row numbers follow the order of insertion.
        return tuple(self._select("user_name = ? ORDER BY rowid DESC", name))

    def der_of(self, sha256: str) -> bytes | None:
        """See CertificateTable."""
        row = self._database.row("SELECT der FROM certificates WHERE sha256 = ?", (sha256,))
        return None if row is None else row[0]

    def has(self, issuer_sha256: str, serial_number: str) -> bool:
        """See CertificateTable."""
        row = self._database.row(
            "SELECT 1 FROM certificates WHERE issuer_sha256 = ? AND serial_number = ?", (issuer_sha256, serial_number)
        )
        return row is not None

    def revocation_of(self, issuer_sha256: str, serial_number: str) -> Revocation | None:
        """See CertificateTable."""
        row = self._database.row(
            "SELECT revoked_at, revocation_reason FROM certificates WHERE issuer_sha256 = ? AND serial_number = ?",
            (issuer_sha256, serial_number),
        )
        return None if row is None else to_revocation(*row)

    def revoked_by(self, issuer_sha256: str, at: datetime) -> list[IssuedCertificate]:
        """See CertificateTable."""
        where = "issuer_sha256 = ? AND revoked_at IS NOT NULL AND not_after >= ? ORDER BY revoked_at, serial_number"
        return list(self._select(where, issuer_sha256, to_text(at)))

    def owner_of_key(self, spki_sha256: str) -> str | None:
        """See CertificateTable."""
        row = self._database.row("SELECT user_name FROM certificates WHERE spki_sha256 = ?", (spki_sha256,))
        return None if row is None else row[0]

    def is_compromised(self, spki_sha256: str) -> bool:
        """See CertificateTable."""
        return any(
            one.revocation is not None and one.revocation.reason is RevocationReason.KEY_COMPROMISE
            for one in self.of_key(spki_sha256)
        )

    def of_key(self, spki_sha256: str) -> tuple[IssuedCertificate, ...]:
        """See CertificateTable."""
        return tuple(self._select("spki_sha256 = ?", spki_sha256))

    def of_issuer(self, issuer_sha256: str) -> tuple[IssuedCertificate, ...]:
        """See CertificateTable."""
        return tuple(self._select("issuer_sha256 = ? ORDER BY user_name, not_before", issuer_sha256))

    def revoke(self, sha256: str, revocation: Revocation | None) -> None:
        """See CertificateTable."""
        values = (to_text(revocation.revoked_at), revocation.reason.value) if revocation else (None, None)
        self._database.execute(
            "UPDATE certificates SET revoked_at = ?, revocation_reason = ? WHERE sha256 = ?", (*values, sha256)
        )

    def mark_renewed(self, sha256: str) -> None:
        """See CertificateTable."""
        self._database.execute("UPDATE certificates SET is_renewed = 1 WHERE sha256 = ?", (sha256,))

    def next_crl_number(self, issuer_sha256: str) -> int:
        """See CertificateTable."""
        row = self._database.one_row(
            "INSERT INTO crl_numbers VALUES (?, 1) ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number",
            (issuer_sha256,),
        )
        return int(row[0])

    def raise_crl_number(self, issuer_sha256: str, number: int) -> None:
        """See CertificateTable."""
        self._database.execute(
            "INSERT INTO crl_numbers VALUES (?, ?) ON CONFLICT DO UPDATE SET number = max(number, excluded.number)",
            (issuer_sha256, number),
        )

    def _select(self, where: str, *values: str) -> Iterator[IssuedCertificate]:
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM certificates WHERE {where}", values)
        for row in rows:
            yield _to_certificate(*row)


def _to_certificate(
    sha256: str,
    name: str,
    issuer: str,
    spki: str,
    serial: str,
    key: str,
    not_before: str,
    not_after: str,
    number: int,
    is_renewed: int,
    label: str,
    *revocation: str | None,
) -> IssuedCertificate:
    return IssuedCertificate(
        sha256=sha256,
        user_name=name,
        issuer_sha256=issuer,
        spki_sha256=spki,
        serial_number=serial,
        public_key=key,
        not_before=to_time(not_before),
        not_after=to_time(not_after),
        assurance_class=number,
        is_renewed=bool(is_renewed),
        label=label,
        revocation=to_revocation(*revocation),
    )
