"""The stored state of an installation, apart from its files: users, certificates, pins, enrolment requests.

`Store` is the contract; an engine implements it, and nothing outside the engine's package knows which one it is.

- Any number of processes may have the store open. What one process writes, the others see at once; `version` shows
  that something was written.
- Every modification happens inside `transaction`: completely, or not at all. Only one transaction is open at a time;
  other processes wait for it for ten seconds.
- Lookups are not cached, and take microseconds: identity makes them at every login.
- Every method raises StoreError when the engine fails: the store is locked for too long or damaged, or the disk is
  full.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from telnetsd.identity.outcome import User
from telnetsd.identity.register import Register
from telnetsd.pki.revocation import Revocation
from telnetsd.state.fleet import FleetNode, Invitation, Membership
from telnetsd.state.records import EnrolmentRequest, IssuedCertificate, Pin, RequestStatus, UserRecord
from telnetsd.state.rows import Captured, RowChange


class CertificateTable(Protocol):
    """Issued certificates; the serial number is unique below its issuer (RFC 5280 section 4.1.2.2)."""

    def add(self, one: IssuedCertificate, der: bytes | None) -> None:
        """Record that a certificate was issued; inside a transaction. None: its content is not known any more."""

    def find(self, sha256: str) -> IssuedCertificate | None:
        """Return a certificate by its fingerprint."""

    def with_serial(self, serial_number: str) -> list[IssuedCertificate]:
        """Return the certificates with a serial number, from any issuing CA of ours."""

    def of_user(self, name: str) -> tuple[IssuedCertificate, ...]:
        """Return a user's certificates, the newest first."""

    def der_of(self, sha256: str) -> bytes | None:
        """Return a certificate itself; None for one that was issued before certificates were stored."""

    def has(self, issuer_sha256: str, serial_number: str) -> bool:
        """Tell whether an issuer issued a certificate with that serial number."""

    def revocation_of(self, issuer_sha256: str, serial_number: str) -> Revocation | None:
        """Return the revocation of a certificate."""

    def revoked_by(self, issuer_sha256: str, at: datetime) -> list[IssuedCertificate]:
        """Return the entries of a CRL: the revoked certificates of an issuer that have not expired at `at`."""

    def owner_of_key(self, spki_sha256: str) -> str | None:
        """Return the name to which a certificate for this public key was issued."""

    def is_compromised(self, spki_sha256: str) -> bool:
        """Tell whether this public key was in a certificate that was revoked for keyCompromise."""

    def of_key(self, spki_sha256: str) -> tuple[IssuedCertificate, ...]:
        """Return the certificates for a public key."""

    def of_issuer(self, issuer_sha256: str) -> tuple[IssuedCertificate, ...]:
        """Return everything that a CA issued."""

    def revoke(self, sha256: str, revocation: Revocation | None) -> None:
        """Record a certificate's revocation, or with None the end of a hold; inside a transaction."""

    def mark_renewed(self, sha256: str) -> None:
        """Record that a certificate has a successor; inside a transaction."""

    def next_crl_number(self, issuer_sha256: str) -> int:
        """Return the number of an issuer's next CRL (RFC 5280 section 5.2.3: ever increasing); in a transaction."""

    def raise_crl_number(self, issuer_sha256: str, number: int) -> None:
        """Let an issuer's next CRL have a number above `number`, if it would not; inside a transaction."""


class PinTable(Protocol):
    """Pins, by the SHA-256 of the public key. A revoked pin is kept, so that its owner learns since when."""

    def find(self, spki_sha256: str) -> Pin | None:
        """Return the pin of a public key."""

    def of_user(self, name: str) -> tuple[Pin, ...]:
        """Return a user's pins, the newest first."""

    def add(self, spki_sha256: str, user_name: str, at: datetime) -> None:
        """Accept a public key for a user, or accept it again after a revocation; inside a transaction."""

    def revoke(self, spki_sha256: str, revocation: Revocation | None) -> None:
        """Revoke a pin, or with None accept it again; inside a transaction."""


class UserTable(Protocol):
    """Users, by name."""

    def has(self, name: str) -> bool:
        """Tell whether there is a user of that name."""

    def names(self) -> list[str]:
        """Return every user's name, sorted."""

    def roles(self, name: str) -> tuple[str, ...]:
        """Return a user's roles, sorted."""

    def find(self, name: str) -> UserRecord | None:
        """Return what is known about a user."""

    def require(self, name: str) -> UserRecord:
        """Return what is known about a user.

        Raises:
            OperatorError: There is no user of that name.
        """

    def every(self) -> list[UserRecord]:
        """Return every user, sorted by name."""

    def add(self, user: User, at: datetime, *, is_mapped: bool) -> None:
        """Add a user; inside a transaction.

        Raises:
            OperatorError: There is a user of that name.
        """

    def change(self, user: User, *, is_mapped: bool) -> None:
        """Change a user's roles, and whether entries of other CAs may name the user; inside a transaction."""

    def remove(self, name: str) -> None:
        """Remove a user; the name stays known, and the certificates stay for the CRL. Inside a transaction."""

    def was_removed(self, name: str) -> bool:
        """Tell whether a user of that name was removed, and no such user was added since."""

    def rename(self, name: str, new: str) -> None:
        """Give a user another name; everything of the user goes along. Inside a transaction."""

    def former_names(self, name: str) -> tuple[str, ...]:
        """Return the names that a user had before, sorted."""

    def renamed_to(self, name: str) -> str | None:
        """Return the present name of the user who had this name before; None if no user had it."""


class RequestTable(Protocol):
    """Enrolment requests, by id: bounded by the limits of the callers, and removed when they expire."""

    def find(self, request_id: str) -> EnrolmentRequest | None:
        """Return a request."""

    def of_key(self, spki_sha256: str) -> list[EnrolmentRequest]:
        """Return the requests for a public key, the newest first."""

    def replacing_key(self, spki_sha256: str) -> list[EnrolmentRequest]:
        """Return the renewals of certificates for a public key, the newest first."""

    def every(self) -> list[EnrolmentRequest]:
        """Return every request, the oldest first."""

    def expired(self, at: datetime) -> list[EnrolmentRequest]:
        """Return the requests that have expired."""

    def content_of(self, request_id: str) -> bytes:
        """Return the content of a request: a CSR or a certificate, in DER."""

    def code_of(self, request_id: str) -> str:
        """Return the SHA-256 of the one-time code."""

    def add(self, one: EnrolmentRequest, content: bytes, code_sha256: str) -> None:
        """Record a request; inside a transaction."""

    def decide(
        self, request_id: str, status: RequestStatus, user_name: str | None = None, certificate_sha256: str = ""
    ) -> None:
        """Record the new status of a request; inside a transaction."""

    def count_failure(self, request_id: str) -> None:
        """Record that a wrong code was entered; inside a transaction."""

    def remove(self, request_id: str) -> None:
        """Remove a request; inside a transaction."""

    def count(self) -> int:
        """Return how many requests there are."""

    def count_pending(self) -> int:
        """Return how many requests wait for the operator, from clients without a user name yet."""

    def pending_of_strangers(self) -> list[EnrolmentRequest]:
        """Return the requests that wait for the operator, from clients without a user name yet, the oldest first."""

    def count_pending_from(self, source: str) -> int:
        """Return how many requests from a source wait for the operator."""

    def has_pending_renewal(self, replaces_sha256: str) -> bool:
        """Tell whether the renewal of a certificate waits for the operator."""


class FleetTable(Protocol):
    """The fleet that this home folder belongs to: its nodes and invitations, which all nodes share, and our place."""

    def membership(self) -> Membership | None:
        """Return where this node is in its fleet; None if it is in none."""

    def require_membership(self) -> Membership:
        """Return where this node is in its fleet.

        Raises:
            OperatorError: It is in none.
        """

    def join(self, membership: Membership) -> None:
        """Make this home folder a node of a fleet; inside a transaction."""

    def advance(self, sequence: int, sha256: str) -> None:
        """Record the last change of the fleet that is in these tables; inside its transaction."""

    def note_applied(self, key: str, position: int) -> None:
        """Remember that the stream had a change; inside its transaction."""

    def was_applied(self, key: str) -> bool:
        """Tell whether the stream had a change, as far back as that is remembered."""

    def node(self, name: str) -> FleetNode | None:
        """Return a node of the fleet."""

    def nodes(self) -> list[FleetNode]:
        """Return every node of the fleet, sorted by name."""

    def keep_node(self, node: FleetNode) -> None:
        """Add a node, or change it; inside a transaction."""

    def revoke_node(self, name: str, at: datetime) -> None:
        """Record that a node does not belong to the fleet any more; inside a transaction."""

    def invitation(self, node: str) -> Invitation | None:
        """Return the invitation of a node that has not joined yet."""

    def invite(self, invitation: Invitation) -> None:
        """Keep an invitation, in place of an earlier one of that node; inside a transaction."""

    def use_invitation(self, node: str) -> None:
        """Remove the invitation of a node; inside a transaction."""


class ReplicationTable(Protocol):
    """The rows that all nodes of a fleet share, as values that one node sends and another one writes."""

    def capturing(self) -> AbstractContextManager[Captured]:
        """Note which shared rows the block changes; inside a transaction."""

    def apply(self, rows: Iterable[RowChange]) -> None:
        """Change shared rows as another node changed them; inside a transaction.

        Raises:
            RowError: A row is of a table or has a column that this version does not know.
            StoreConflictError: A row contradicts another one, or names one that does not exist.
        """

    def everything(self) -> list[RowChange]:
        """Return changes that would write every shared row into empty tables."""

    def clear(self) -> None:
        """Remove every shared row; inside a transaction."""

    def keep_pending(self, change_id: str, body: bytes) -> None:
        """Keep a change that was made here and is not in the fleet's stream yet; inside its transaction."""

    def pending(self) -> list[tuple[str, bytes]]:
        """Return the ids and the bodies of the changes that are not in the fleet's stream yet, the oldest first."""

    def forget_pending(self, change_id: str) -> None:
        """Forget a change that is in the fleet's stream; inside a transaction."""


class Store(Register, Protocol):
    """The tables of one home folder, and the lookups that identity needs; see Register."""

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

    @property
    def fleet(self) -> FleetTable:
        """The fleet, its nodes, and our place in it."""

    @property
    def replication(self) -> ReplicationTable:
        """The rows that all nodes of a fleet share."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit everything that is written inside, or nothing if an exception leaves it."""

    def note_change(self, change_id: str) -> None:
        """Record, in the transaction of a change, that its files are still to be put in place."""

    def forget_change(self, change_id: str) -> None:
        """Record that the files of a change are in place."""

    def forget_changes(self) -> None:
        """Forget every change whose files are not in place yet; inside a transaction."""

    def has_change(self, change_id: str) -> bool:
        """Tell whether a change was made whose files may not be in place yet."""

    def copy_to(self, path: Path) -> None:
        """Write a consistent copy of the store to a new file, which only its owner may read.

        Raises:
            OSError: The file exists, or cannot be created.
        """

    def close(self) -> None:
        """Release the engine."""


class AuditHeadMemory(Protocol):
    """Where the audit log ended when it was last closed: the remaining evidence if the log is gone.

    It is neither a secret nor a proof. It never creates a store, and never waits for a process that writes to it.
    """

    def read(self) -> tuple[int, str]:
        """Return the sequence number and the SHA-256 of the last line; 0 and an empty string if none is known."""

    def write(self, sequence: int, sha256: str) -> bool:
        """Remember a line; False if another process is writing to the store: a later line is remembered instead."""
