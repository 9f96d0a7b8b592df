"""The tables about the fleet."""

from datetime import datetime

from telnetsd.errors import OperatorError
from telnetsd.state.fleet import KEYS_KEPT, Capability, FleetNode, Invitation, Membership
from telnetsd.state.records import to_text, to_time
from telnetsd.state.sqlite.database import Database, Row


class FleetTables:
    """See `state.store.FleetTable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def membership(self) -> Membership | None:
        """See FleetTable."""
        columns = "fleet, node, is_founding, first_sha256, sequence, sha256"
        row = self._database.row(f"SELECT {columns} FROM fleet_membership")
        if row is None:
            return None
        fleet, node, is_founding, first_sha256, sequence, sha256 = row
        return Membership(
            fleet=fleet,
            node=node,
            is_founding=bool(is_founding),
            first_sha256=first_sha256,
            sequence=sequence,
            sha256=sha256,
        )

    def require_membership(self) -> Membership:
        """See FleetTable."""
        membership = self.membership()
        if membership is None:
            raise OperatorError("this home folder is of no fleet; to found or join one: telnetsd fleet --help")
        return membership

    def join(self, membership: Membership) -> None:
        """See FleetTable."""
        one = membership
        values = (one.fleet, one.node, int(one.is_founding), one.first_sha256, one.sequence, one.sha256)
        self._database.execute("INSERT OR REPLACE INTO fleet_membership VALUES (1, ?, ?, ?, ?, ?, ?)", values)

    def advance(self, sequence: int, sha256: str) -> None:
        """See FleetTable."""
        statement = "UPDATE fleet_membership SET is_founding = 0, sequence = ?, sha256 = ?"
        self._database.execute(statement, (sequence, sha256))

    def note_applied(self, key: str, position: int) -> None:
        """See FleetTable."""
        self._database.execute("INSERT OR REPLACE INTO fleet_applied VALUES (?, ?)", (position, key))
        self._database.execute("DELETE FROM fleet_applied WHERE position <= ?", (position - KEYS_KEPT,))

    def was_applied(self, key: str) -> bool:
        """See FleetTable."""
        return self._database.row("SELECT 1 FROM fleet_applied WHERE key = ?", (key,)) is not None

    def node(self, name: str) -> FleetNode | None:
        """See FleetTable."""
        row = self._database.row("SELECT * FROM fleet_nodes WHERE name = ?", (name,))
        return None if row is None else _to_node(row)

    def nodes(self) -> list[FleetNode]:
        """See FleetTable."""
        return [_to_node(row) for row in self._database.rows("SELECT * FROM fleet_nodes ORDER BY name")]

    def keep_node(self, node: FleetNode) -> None:
        """See FleetTable."""
        revoked_at = None if node.revoked_at is None else to_text(node.revoked_at)
        values = (
            node.name,
            node.life,
            _to_words(node.capabilities),
            node.certificate,
            node.engine_key,
            to_text(node.added_at),
            revoked_at,
        )
        self._database.execute("INSERT OR REPLACE INTO fleet_nodes VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def revoke_node(self, name: str, at: datetime) -> None:
        """See FleetTable."""
        self._database.execute("UPDATE fleet_nodes SET revoked_at = ? WHERE name = ?", (to_text(at), name))

    def invitation(self, node: str) -> Invitation | None:
        """See FleetTable."""
        columns = "capabilities, names, addresses, code_sha256, expires_at"
        row = self._database.row(f"SELECT {columns} FROM fleet_invitations WHERE node = ?", (node,))
        if row is None:
            return None
        capabilities, names, addresses, code_sha256, expires_at = row
        return Invitation(
            node=node,
            capabilities=_to_capabilities(capabilities),
            names=tuple(names.split()),
            addresses=tuple(addresses.split()),
            code_sha256=code_sha256,
            expires_at=to_time(expires_at),
        )

    def invite(self, invitation: Invitation) -> None:
        """See FleetTable."""
        one = invitation
        values = (
            one.node,
            _to_words(one.capabilities),
            " ".join(one.names),
            " ".join(one.addresses),
            one.code_sha256,
            to_text(one.expires_at),
        )
        self._database.execute("INSERT OR REPLACE INTO fleet_invitations VALUES (?, ?, ?, ?, ?, ?)", values)

    def use_invitation(self, node: str) -> None:
        """See FleetTable."""
        self._database.execute("DELETE FROM fleet_invitations WHERE node = ?", (node,))


def _to_node(row: Row) -> FleetNode:
    name, life, capabilities, certificate, engine_key, added_at, revoked_at = row
    return FleetNode(
        name=name,
        life=life,
        capabilities=_to_capabilities(capabilities),
        certificate=certificate,
        engine_key=engine_key,
        added_at=to_time(added_at),
        revoked_at=None if revoked_at is None else to_time(revoked_at),
    )


def _to_words(capabilities: tuple[Capability, ...]) -> str:
    return " ".join(one.value for one in capabilities)


def _to_capabilities(words: str) -> tuple[Capability, ...]:
    """Read capabilities; one that this version does not know is left out: it allows nothing here."""
    known = {one.value: one for one in Capability}
    return tuple(known[word] for word in words.split() if word in known)
