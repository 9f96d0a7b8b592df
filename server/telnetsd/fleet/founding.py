"""Founding a fleet: its CA, the keys that decide who may use the engine, and the first state in the stream."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from telnetsd.administration.installation.change import at_rest, changing
from telnetsd.administration.replication.message import (
    ChangeBody,
    ChangeKind,
    SharedFile,
    encode_change,
    message_sha256,
)
from telnetsd.administration.replication.node_key import load_node_key
from telnetsd.administration.replication.pending import key_of_change
from telnetsd.administration.replication.shared_files import shared_files_of
from telnetsd.audit.trail import make_event
from telnetsd.config.loading import load_settings
from telnetsd.errors import OperatorError, StoreError
from telnetsd.events.of_the_fleet import FleetFounded
from telnetsd.events.part import Fields
from telnetsd.files.atomic import make_secret_folder
from telnetsd.files.freshness import Freshness
from telnetsd.files.home import Home
from telnetsd.fleet.access import as_founder, load_authority_keys
from telnetsd.fleet.connection import Access, Connection, EngineError, RefusedByEngineError, open_any
from telnetsd.fleet.credentials import (
    Token,
    engine_file,
    make_authority_keys,
    make_user_seed,
    public_key_of,
    sign_node_token,
)
from telnetsd.fleet.subjects import Subjects
from telnetsd.pki.authority import create_root, to_pem, utc_now
from telnetsd.pki.keys import key_to_pem
from telnetsd.state.fleet import EVERY_CAPABILITY, FleetNode, Membership
from telnetsd.state.rows import RowChange
from telnetsd.state.store import Store

PART_BYTES: Final = 500_000
"""About how much of the first state is in one message, before it is compressed."""
_MAKE_S: Final = 10.0
_RETRY_S: Final = 1.0
_REPLICAS: Final = 3

logger = logging.getLogger(__name__)


def found_fleet(home: Home, fleet: str, node: str, addresses: tuple[str, ...], who: Fields) -> None:
    """Make this home folder the first node of a new fleet; what it has becomes the fleet's state.

    Args:
        home: The installation.
        fleet: The name of the fleet.
        node: The name of this node.
        addresses: Host names and addresses at which this machine runs a server of the engine; empty: it runs none.
        who: The event fields that say who does this.
    Raises:
        OperatorError: The home folder is of a fleet already, or something cannot be written.
    """
    if home.fleet_node_certificate.exists():
        raise OperatorError("this home folder is of a fleet already; see: telnetsd fleet status")
    now = utc_now()
    ca = create_root(f"telnetsd fleet {fleet}", now, path_length=0)
    key = Ed25519PrivateKey.generate()
    certificate = ca.issue_node(node, key.public_key(), addresses, now)
    keys = make_authority_keys()
    seed = make_user_seed()
    token = Token(seed=seed, jwt=sign_node_token(keys, node, public_key_of(seed), EVERY_CAPABILITY))
    make_secret_folder(home.fleet_folder)
    with changing(home, who) as change:
        change.write_secret(home.fleet_ca_key, key_to_pem(ca.key))
        change.write_secret(home.fleet_authority_keys, msgspec.json.encode(keys))
        change.write_secret(home.fleet_engine_file, msgspec.json.encode(engine_file(keys, fleet)))
        change.write_secret(home.fleet_node_key, key_to_pem(key))
        change.write_secret(home.fleet_engine_token, msgspec.json.encode(token))
        change.write_public(home.fleet_ca_certificate, to_pem(ca.certificate))
        change.write_public(home.fleet_node_certificate, to_pem(certificate))
        change.state.fleet.join(Membership(fleet=fleet, node=node, is_founding=True))
        der = certificate.public_bytes(Encoding.DER)
        change.state.fleet.keep_node(
            FleetNode(
                name=node,
                life=1,
                capabilities=EVERY_CAPABILITY,
                certificate=der,
                engine_key=public_key_of(seed),
                added_at=change.at,
            )
        )
        change.record(
            FleetFounded(message=f"the fleet {fleet} was founded by the node {node}", fleet=fleet, node=node)
        )
    # Until there is a stream, this node is all there is.
    Freshness(home.fleet_freshness).note()


async def write_first_state(home: Home, access: Access, subjects: Subjects) -> None:
    """Make the streams, and write the state of the founder into the one of changes; try until it is done."""
    told = ""
    while True:
        try:
            await _write_first_state(home, access, subjects)
        except (EngineError, OperatorError, StoreError) as error:
            if str(error) != told:
                told = str(error)
                logger.warning("the fleet has no stream yet: %s; it is tried again", error)
            await asyncio.sleep(_RETRY_S)
        else:
            return


async def _write_first_state(home: Home, access: Access, subjects: Subjects) -> None:
    founder = as_founder(access, load_authority_keys(home))
    connection = await open_any(founder)
    try:
        replicas = _REPLICAS if len(access.servers) >= _REPLICAS else 1
        for stream in subjects.streams(replicas, load_settings(home.config_file).fleet.engine.max_bytes):
            await connection.make_stream(stream, _MAKE_S)
        loop = asyncio.get_running_loop()
        put = partial(_put_part, loop, connection, subjects)
        await asyncio.to_thread(write_parts, home, put)
    finally:
        await connection.close()


def _put_part(
    loop: asyncio.AbstractEventLoop, connection: Connection, subjects: Subjects, node: str, position: int, part: bytes
) -> None:
    """Put a part at a position of the stream, from another thread; one that is there already is left.

    Raises:
        EngineError: It cannot be put there.
        OperatorError: Another message is there.
    """

    async def put() -> None:
        subject = subjects.change(ChangeKind.GIVE, node)
        with contextlib.suppress(RefusedByEngineError):
            await connection.put(subject, part, timeout_s=_MAKE_S, after=position - 1)
            return
        found = await connection.at(subjects.state, position, _MAKE_S)
        if found is None or found.data != part:
            raise OperatorError(
                f"the engine has the state of a fleet {subjects.fleet} already; use another name, or join that fleet"
            )

    asyncio.run_coroutine_threadsafe(put(), loop).result()


def write_parts(home: Home, put: Callable[[str, int, bytes], object]) -> None:
    """Write the first state, which cannot change meanwhile; what was interrupted goes on with the same parts."""
    with at_rest(home) as (state, log):
        membership = state.fleet.require_membership()
        if not membership.is_founding:
            return
        parts = list(_first_messages(home, state, membership, load_node_key(home)))
        for position, part in enumerate(parts, 1):
            put(membership.node, position, part)
        with state.transaction():
            state.fleet.join(replace(membership, first_sha256=message_sha256(parts[0])))
            state.fleet.advance(len(parts), message_sha256(parts[-1]))
            for position in range(1, len(parts) + 1):
                state.fleet.note_applied(key_of_change(membership.node, _id_of_part(position)), position)
            words = f"the state of this node is now that of the fleet {membership.fleet}"
            event = FleetFounded(message=words, fleet=membership.fleet, node=membership.node)
            log.append([make_event(event)])


def _first_messages(home: Home, state: Store, membership: Membership, key: Ed25519PrivateKey) -> Iterator[bytes]:
    """Yield the messages that write the first state: the same ones each time, as long as the state is the same."""
    node = state.fleet.node(membership.node)
    assert node is not None  # noqa: S101 -- written together with the membership
    rows = sorted(state.replication.everything(), key=lambda row: row.table != "fleet_nodes")
    parts = list(_split(rows, shared_files_of(home.root)))
    previous = ""
    for number, (some_rows, some_files) in enumerate(parts, 1):
        body = ChangeBody(
            fleet=membership.fleet,
            id=_id_of_part(number),
            node=membership.node,
            kind=ChangeKind.GIVE,
            by="fleet init",
            at=node.added_at.isoformat(),
            previous=previous,
            rows=some_rows,
            files=some_files,
            events=[f"the first state of the fleet {membership.fleet}, part {number} of {len(parts)}"],
        )
        message = encode_change(body, key)
        previous = message_sha256(message)
        yield message


def _id_of_part(number: int) -> str:
    return f"{number:032x}"


def _split(rows: list[RowChange], files: list[SharedFile]) -> Iterator[tuple[list[RowChange], list[SharedFile]]]:
    """Yield rows and files in parts that fit into a message."""
    some_rows: list[RowChange] = []
    some_files: list[SharedFile] = []
    size = 0
    everything: list[RowChange | SharedFile] = [*rows, *files]
    for one in everything:
        bytes_of_one = len(msgspec.msgpack.encode(one))
        if size and size + bytes_of_one > PART_BYTES:
            yield some_rows, some_files
            some_rows, some_files, size = [], [], 0
        size += bytes_of_one
        if isinstance(one, RowChange):
            some_rows.append(one)
        else:
            some_files.append(one)
    yield some_rows, some_files
