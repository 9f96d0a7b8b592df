"""What is kept of an installation beside its files: users, certificates, pins, enrolment requests.

`Store` is the contract; an engine implements it, and nothing outside of the engine's package knows which one it is.

- Any number of processes have it open. What one has written others see at once; `version` tells that it happened.
- Whatever changes anything happens inside `transaction`: whole, or not at all. Only one transaction is open at a
  time; others wait for it for ten seconds.
- A lookup is made anew each time, and takes microseconds: identity asks at every login.
- Every method raises StoreError when the engine fails: it is locked for too long, or damaged, or the disk is full.
"""

from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from telnetsd.errors import OperatorError
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.identity.register import Register
from telnetsd.pki.revocation import Revocation
from telnetsd.state.records import EnrolmentRequest, IssuedCertificate, Pin, RequestStatus, UserRecord


class CertificateTable(Protocol):
    """Issued certificates; the serial number is unique below its issuer (RFC 5280 section 4.1.2.2)."""

    def add(self, one: IssuedCertificate, der: bytes) -> None:
        """Note that a certificate was issued; inside a transaction."""

    def find(self, sha256: str) -> IssuedCertificate | None:
        """Return a certificate by its fingerprint."""

    def with_serial(self, serial_number: str) -> list[IssuedCertificate]:
        """Return the certificates of a serial number, of whatever issuing CA of ours."""

    def of_user(self, name: str) -> tuple[IssuedCertificate, ...]:
        """Return a user's certificates, the newest first."""

    def der_of(self, sha256: str) -> bytes | None:
        """Return a certificate itself; None for one of before it was kept."""

    def has(self, issuer_sha256: str, serial_number: str) -> bool:
        """Tell whether an issuer issued a certificate of that serial number."""

    def revocation_of(self, issuer_sha256: str, serial_number: str) -> Revocation | None:
        """Return the revocation of a certificate."""

    def revoked_by(self, issuer_sha256: str, at: datetime) -> list[IssuedCertificate]:
        """Return what stands on a CRL: the revoked certificates of an issuer that have not expired at `at`."""

    def owner_of_key(self, spki_sha256: str) -> str | None:
        """Return the name to which a certificate for this public key was issued."""

    def is_compromised(self, spki_sha256: str) -> bool:
        """Tell whether this public key stood in a certificate that was revoked for keyCompromise."""

    def of_key(self, spki_sha256: str) -> tuple[IssuedCertificate, ...]:
        """Return the certificates for a public key."""

    def of_issuer(self, issuer_sha256: str) -> tuple[IssuedCertificate, ...]:
        """Return everything that a CA issued."""

    def revoke(self, sha256: str, revocation: Revocation | None) -> None:
        """Note a certificate's revocation, or with None the end of a hold; inside a transaction."""

    def mark_renewed(self, sha256: str) -> None:
        """Note that a certificate has a successor; inside a transaction."""

    def next_crl_number(self, issuer_sha256: str) -> int:
        """Return the number of an issuer's next CRL (RFC 5280 section 5.2.3: ever increasing); in a transaction."""


class PinTable(Protocol):
    """Pins, by the SHA-256 of the public key. One that was revoked stays, so that its owner is told since when."""

    def find(self, spki_sha256: str) -> Pin | None:
        """Return the pin of a public key."""

    def of_user(self, name: str) -> tuple[Pin, ...]:
        """Return a user's pins, the newest first."""

    def add(self, spki_sha256: str, user_name: str, at: datetime) -> None:
        """Accept a public key for a user, anew if it was taken back; inside a transaction."""

    def revoke(self, spki_sha256: str, revocation: Revocation | None) -> None:
        """Take a pin back, or with None accept it again; inside a transaction."""


class UserTable(Protocol):
    """Users, by name."""

    def has(self, name: str) -> bool:
        """Tell whether there is a user of that name."""

    def names(self) -> list[str]:
        """Return every user's name, sorted."""

    def roles(self, name: str) -> tuple[str, ...]:
        """Return a user's roles, sorted."""

    def find(self, name: str) -> UserRecord | None:
        """Return what is known of a user."""

    def require(self, name: str) -> UserRecord:
        """Return what is known of a user.

        Raises:
            OperatorError: There is none of that name.
        """

    def every(self) -> list[UserRecord]:
        """Return every user, by name."""

    def add(self, user: User, at: datetime, *, is_mapped: bool) -> None:
        """Add a user; inside a transaction.

        Raises:
            OperatorError: There is a user of that name.
        """

    def change(self, user: User, *, is_mapped: bool) -> None:
        """Give a user other roles, and say whether entries of other CAs may name them; inside a transaction."""

    def remove(self, name: str) -> None:
        """Take a user away; the name stays known, and the certificates, to be on the CRL. Inside a transaction."""

    def was_removed(self, name: str) -> bool:
        """Tell whether a user of that name was taken away, and nobody was added since."""


class RequestTable(Protocol):
    """Enrolment requests, by id: bounded by the limits of their callers, and emptied as they expire."""

    def find(self, request_id: str) -> EnrolmentRequest | None:
        """Return a request."""

    def of_key(self, spki_sha256: str) -> list[EnrolmentRequest]:
        """Return the requests for a public key, the newest first."""

    def replacing_key(self, spki_sha256: str) -> list[EnrolmentRequest]:
        """Return the renewals of certificates for a public key, the newest first."""

    def every(self) -> list[EnrolmentRequest]:
        """Return every request, the oldest first."""

    def expired(self, at: datetime) -> list[EnrolmentRequest]:
        """Return the requests whose time is over."""

    def content_of(self, request_id: str) -> bytes:
        """Return what was brought: a CSR or a certificate, in DER."""

    def code_of(self, request_id: str) -> str:
        """Return the SHA-256 of the one-time code."""

    def add(self, one: EnrolmentRequest, content: bytes, code_sha256: str) -> None:
        """Note a request; inside a transaction."""

    def decide(
        self, request_id: str, status: RequestStatus, user_name: str | None = None, certificate_sha256: str = ""
    ) -> None:
        """Note what became of a request; inside a transaction."""

    def count_failure(self, request_id: str) -> None:
        """Note that a wrong code was given; inside a transaction."""

    def remove(self, request_id: str) -> None:
        """Forget a request; inside a transaction."""

    def count_pending(self) -> int:
        """Return how many requests of those who have no name yet wait for the operator."""

    def pending_of_strangers(self) -> list[EnrolmentRequest]:
        """Return the requests of those who have no name yet that wait for the operator, the oldest first."""

    def count_pending_from(self, source: str) -> int:
        """Return how many requests of a source wait for the operator."""

    def has_pending_renewal(self, replaces_sha256: str) -> bool:
        """Tell whether the renewal of a certificate waits for the operator."""


class Store(Register, Protocol):
    """The tables of one home folder, and what identity asks of them; see Register."""

    @property
    def certificates(self) -> CertificateTable:
        """Issued certificates."""

    @property
    def pins(self) -> PinTable:
        """Accepted public keys."""

    @property
    def users(self) -> UserTable:
        """Users and their roles."""

    @property
    def requests(self) -> RequestTable:
        """Enrolment requests."""

    def transaction(self) -> AbstractContextManager[None]:
        """Make what is written inside happen whole, or, when an exception leaves it, not at all."""

    def note_change(self, change_id: str) -> None:
        """Note, in the transaction of a change, that its files are to be put in place."""

    def forget_change(self, change_id: str) -> None:
        """Note that the files of a change are in place."""

    def has_change(self, change_id: str) -> bool:
        """Tell whether a change was made whose files may not be in place yet."""

    def close(self) -> None:
        """Let go of the engine."""


class AuditHeadMemory(Protocol):
    """Where the audit log ended when it was last closed: what is left to tell of a log that is gone.

    It is no secret and no proof. It neither makes a store, nor waits for a process that writes to it.
    """

    def read(self) -> tuple[int, str]:
        """Return the sequence number and the SHA-256 of the last line; 0 and an empty text where none is known."""

    def write(self, sequence: int, sha256: str) -> bool:
        """Remember a line; False while another process writes to the store: a later line is remembered then."""


def open_store(home: Home, *, create: bool = False) -> Store:
    """Open the store of an installation.

    Args:
        home: The installation.
        create: Make a store where there is none.
    Raises:
        OperatorError: There is none, it cannot be opened, or is of a newer telnetsd.
    """
    from telnetsd.state.sqlite.store import SqliteStore

    if not create:
        require_store(home)
    return SqliteStore(home.state_file)


def require_store(home: Home) -> None:
    """Refuse to go on where there is no store.

    Raises:
        OperatorError: There is none.
    """
    if not home.state_file.exists():
        raise OperatorError(f"no state at {home.state_file}; is this the home folder? to make one: telnetsd init")


def audit_head_of(home: Home) -> AuditHeadMemory:
    """Return the memory of where the audit log ended."""
    from telnetsd.state.sqlite.audit_head import AuditHead

    return AuditHead(home.state_file)
