"""The upkeep that a running server does by itself: signing CRLs in time, removing expired requests."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Final

from cryptography import x509

from telnetsd.administration.authority.authorities import (
    AskPassphrase,
    crl_file,
    issuing_key_file,
    load_certificate_of_issuer,
    load_server_ca,
    rewrite_crls,
)
from telnetsd.administration.enrolment.requests import forget_expired
from telnetsd.administration.installation.change import changing, recover
from telnetsd.administration.installation.turn import is_upkeep_ours
from telnetsd.administration.replication.message import ChangeKind
from telnetsd.events.part import Fields
from telnetsd.files.home import Home
from telnetsd.pki.authority import utc_now
from telnetsd.pki.certificate import certificate_sha256
from telnetsd.state.opening import open_store
from telnetsd.state.store import Store

BY_SERVER: Final[Fields] = {"telnetsd": {"operator": {"name": "upkeep"}}}


def keep_up(home: Home, ask: AskPassphrase) -> None:
    """Do the upkeep that is currently needed.

    Raises:
        OperatorError: The CA's key is not on this machine or is locked, or something cannot be written.
    """
    recover(home)
    with closing(open_store(home)) as state:
        # In a fleet, one node does for all what all would do.
        has_expired = is_upkeep_ours(state) and bool(state.requests.expired(utc_now()))
        is_due = issuing_key_file(home).exists() and _is_crl_due(home, state)
    if has_expired:
        with changing(home, BY_SERVER, ChangeKind.REQUEST) as change:
            forget_expired(change)
    if is_due:
        rewrite_crls(home, BY_SERVER, ask)


def _is_crl_due(home: Home, state: Store) -> bool:
    """Tell whether one of our CRLs is missing, in the second half of its validity, or older than a revocation."""
    issuers = [load_certificate_of_issuer(home)]
    if home.server_ca_key.exists():
        issuers += load_server_ca(home)
    return any(_is_crl_of_due(home, state, one) for one in issuers)


def _is_crl_of_due(home: Home, state: Store, issuer: x509.Certificate) -> bool:
    try:
        crl = x509.load_pem_x509_crl(crl_file(home, issuer).read_bytes())
    except (OSError, ValueError):
        return True
    now, next_update = datetime.now(UTC), crl.next_update_utc
    if next_update is None or now > crl.last_update_utc + (next_update - crl.last_update_utc) / 2:
        return True
    revoked = state.certificates.revoked_by(certificate_sha256(issuer), crl.last_update_utc)
    told = {(entry.serial_number, int(entry.revocation_date_utc.timestamp())) for entry in crl}
    return told != {
        (int(one.serial_number, 16), int(one.revocation.revoked_at.timestamp()))
        for one in revoked
        if one.revocation is not None
    }
