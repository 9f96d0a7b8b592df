"""Users: adding, changing, renewing, removing."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from telnetsd.administration.authority.authorities import (
    WAITING,
    AskPassphrase,
    load_issuer,
    passphrase_of_environment,
    tell_others,
)
from telnetsd.administration.authority.issuing import Grant, check_grant, check_key, with_class_of
from telnetsd.administration.authority.revocation import revoke_all
from telnetsd.administration.installation.change import changing
from telnetsd.administration.installation.generation import load_table
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.installation.staging import Change
from telnetsd.administration.installation.turn import is_limited
from telnetsd.administration.replication.message import ChangeKind
from telnetsd.administration.users.credentials import (
    Credential,
    GeneratedKey,
    Issuance,
    KeptKey,
    PinnedKey,
    RequestFile,
    all_user_files,
    generate,
    issue,
    kept_key,
    key_for,
    moved_user_files,
)
from telnetsd.administration.users.names import check_user_name, is_like_a_file, look_alike
from telnetsd.administration.users.pins import parse_pin
from telnetsd.config.loading import load_settings
from telnetsd.config.settings import Settings
from telnetsd.errors import OperatorError
from telnetsd.events.of_changes import PinAdded, UserAdded, UserChanged, UserRemoved, UserRenamed
from telnetsd.events.reason import RevocationReason
from telnetsd.files.atomic import give_to_owner, make_secret_folder
from telnetsd.files.home import Home
from telnetsd.identity.outcome import User
from telnetsd.pki.revocation import still_counts
from telnetsd.state.records import UserRecord


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to add. `is_mapped`: cert-to-name entries of other CAs may name the user."""

    user: User
    is_mapped: bool = False
    is_similar_allowed: bool = False


def add_user(
    home: Home,
    new: NewUser,
    credential: Credential,
    grant: Grant,
    ask: AskPassphrase = passphrase_of_environment,
) -> Issuance:
    """Add a user with a certificate or a pin, and record the events in the audit log.

    Args:
        home: The installation.
        new: The name and the roles.
        credential: What identifies the user.
        grant: How long the certificate is valid, and its class.
        ask: Returns the passphrase of the CA's key.
    Raises:
        OperatorError: The name is not allowed or exists already, a role is unknown, the key or the request is
            refused, or something cannot be written.
    """
    settings = load_settings(home.config_file)
    check_new_user(new.user, settings)
    check_grant(grant, settings)
    key = key_for(new.user.name, credential) if isinstance(credential, GeneratedKey | RequestFile) else None
    authority = load_issuer(home, ask) if key else None
    with changing(home, by_operator()) as change:
        insert_user(change, new)
        if isinstance(credential, PinnedKey):
            pin_key(change, new.user.name, parse_pin(credential.text, change.at))
        if key is None or authority is None:
            return Issuance(new.user, None, ())
        return issue(change, authority, settings, new.user, key, grant)


def add_users(
    home: Home,
    users: Iterable[tuple[NewUser, GeneratedKey, Grant]],
    ask: AskPassphrase = passphrase_of_environment,
) -> None:
    """Add several users, all of them or none.

    Raises:
        OperatorError: One of them cannot be added.
    """
    settings = load_settings(home.config_file)
    authority = load_issuer(home, ask)
    made = [(new, generate(one), grant) for new, one, grant in users]
    with changing(home, by_operator()) as change:
        for new, key, grant in made:
            insert_user(change, new)
            issue(change, authority, settings, new.user, key, grant)


def change_user(home: Home, name: str, roles: tuple[str, ...] | None, *, is_mapped: bool | None) -> UserRecord:
    """Change a user's roles, or let cert-to-name entries name the user; open sessions change at once.

    Raises:
        OperatorError: There is no such user, or a role is unknown.
    """
    with changing(home, by_operator()) as change:
        found = change.state.users.require(name)
        user = User(name, found.user.roles if roles is None else roles)
        check_roles(user.roles, load_settings(home.config_file))
        mapped = found.is_mapped if is_mapped is None else is_mapped
        change.state.users.change(user, is_mapped=mapped)
        may = "may" if mapped else "may not"
        message = f"user {name} has the roles {', '.join(user.roles)}; entries of other CAs {may} name this user"
        change.record(UserChanged(message=message, name=user.name, roles=user.roles, is_mapped=mapped))
        return change.state.users.require(name)


def renew_user(
    home: Home,
    name: str,
    credential: GeneratedKey | RequestFile | KeptKey,
    grant: Grant,
    ask: AskPassphrase = passphrase_of_environment,
) -> Issuance:
    """Issue another certificate to a user, of the class of the last one, which stays valid until it expires.

    Raises:
        OperatorError: There is no such user, no certificate to renew, or the key or the request is refused.
    """
    settings = load_settings(home.config_file)
    check_grant(grant, settings)
    authority = load_issuer(home, ask)
    with changing(home, by_operator()) as change:
        found = change.state.users.require(name)
        last = next((one for one in found.certificates if one.label == grant.label), None)
        if last is None:
            which = f" for {grant.label}" if grant.label else ""
            see = f"see: telnetsd user show {name}"
            raise OperatorError(f"{name} has no certificate of this CA{which} to renew; {see}")
        match credential:
            case KeptKey():
                key = kept_key(change, last, credential)
            case _:
                key = key_for(name, credential)
        grant = with_class_of(grant, last, settings)
        change.state.certificates.mark_renewed(last.sha256)
        return issue(change, authority, settings, found.user, key, grant, is_renewal=True)


def add_certificate(
    home: Home,
    name: str,
    credential: GeneratedKey | RequestFile,
    grant: Grant,
    ask: AskPassphrase = passphrase_of_environment,
) -> Issuance:
    """Issue a further certificate to a user, for a device with a label of its own.

    Raises:
        OperatorError: There is no such user, the label is taken or not allowed, or the key or the request is refused.
    """
    settings = load_settings(home.config_file)
    check_grant(grant, settings)
    key, authority = key_for(name, credential), load_issuer(home, ask)
    with changing(home, by_operator()) as change:
        found = change.state.users.require(name)
        require_free_label(found, grant.label, change.at)
        return issue(change, authority, settings, found.user, key, grant)


def require_free_label(user: UserRecord, label: str, at: datetime) -> None:
    """Refuse a label for which a user has a certificate that still counts: its files would be overwritten.

    Raises:
        OperatorError: The user has one, or the folder of the user's devices would be a file of another user.
    """
    name = user.user.name
    if is_like_a_file(name):
        raise OperatorError(f"{name} cannot have labels: it is like the name of a file; see: telnetsd user rename")
    if any(one.label == label and still_counts(one.revocation) and one.not_after > at for one in user.certificates):
        raise OperatorError(
            f"{name} has a certificate for {label}; use another label, or: telnetsd user renew {name} --label {label}"
        )


def rename_user(home: Home, name: str, new: str, *, is_similar_allowed: bool = False) -> None:
    """Give a user another name, with everything that the user has; open sessions end.

    Raises:
        OperatorError: There is no such user, or the new name is not allowed, taken, or easily misread.
    """
    check_user_name(new)
    with changing(home, by_operator()) as change:
        change.state.users.require(name)
        _require_unused(change, new)
        similar = look_alike(new, (one for one in change.state.users.names() if one != name))
        if similar is not None and not is_similar_allowed:
            raise OperatorError(
                f"{new} is easily mistaken for the user {similar}; use another name, or add --allow-similar"
            )
        _move_files(change, name, new)
        change.state.users.rename(name, new)
        message = f"user {name} was renamed to {new}; {name} is never given to another user"
        change.record(UserRenamed(message=message, name=name, changed=new))


def _require_unused(change: Change, name: str) -> None:
    if change.state.users.has(name):
        raise OperatorError(f"user {name} already exists; see: telnetsd user show {name}")
    present = change.state.users.renamed_to(name)
    if present is not None:
        raise OperatorError(f"{name} was the name of {present}, and is never given again; use another name")


def _move_files(change: Change, name: str, new: str) -> None:
    for path, moved in moved_user_files(change.home, name, new):
        make_secret_folder(moved.parent)
        give_to_owner(moved.parent, change.home.users_folder)
        write = change.write_public if path.suffix == ".pem" else change.write_secret
        write(moved, path.read_bytes())
        change.delete(path)


def remove_user(home: Home, name: str, ask: AskPassphrase = passphrase_of_environment) -> tuple[str, str]:
    """Remove a user, and revoke all of the user's credentials; open sessions end.

    Returns: In a fleet, how far it has come; and why a new CRL could not be signed. Each may be empty.
    Raises:
        OperatorError: There is no such user, or this node of a fleet may only put on hold.
    """
    if is_limited(home):
        raise OperatorError(f"this node may not remove a user; put {name} on hold: telnetsd user revoke {name}")
    with changing(home, by_operator(), ChangeKind.TAKE) as change:
        found = change.state.users.require(name)
        revoke_all(change, found, RevocationReason.CESSATION_OF_OPERATION)
        change.state.users.remove(name)
        for path in all_user_files(home, name):
            change.delete(path)
        change.record(UserRemoved(message=f"user {name} was removed", name=name, roles=found.user.roles))
    return change.spread, WAITING if change.is_waiting else tell_others(home, by_operator(), ask)


def check_new_user(user: User, settings: Settings) -> None:
    """Refuse a name that is not allowed, and unknown roles.

    Raises:
        OperatorError: The message says what to do.
    """
    check_user_name(user.name)
    check_roles(user.roles, settings)


def check_roles(roles: Iterable[str], settings: Settings) -> None:
    """Refuse unknown roles.

    Raises:
        OperatorError: The message suggests known roles.
    """
    known = load_table(settings).roles
    for role in roles:
        if role not in known:
            near = difflib.get_close_matches(role, known, n=1)
            meant = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(sorted(known))}"
            raise OperatorError(f"unknown role {role!r}; {meant}")


def insert_user(change: Change, new: NewUser) -> None:
    """Record a new user.

    Raises:
        OperatorError: The name exists already, or is easily misread as an existing one.
    """
    user = new.user
    _require_unused(change, user.name)
    similar = look_alike(user.name, change.state.users.names())
    if similar is not None and not new.is_similar_allowed and not change.state.users.has(user.name):
        raise OperatorError(
            f"{user.name} is easily mistaken for the user {similar}; use another name, or add --allow-similar"
        )
    change.state.users.add(user, change.at, is_mapped=new.is_mapped)
    message = f"user {user.name} was added ({', '.join(user.roles)})"
    change.record(UserAdded(message=message, name=user.name, roles=user.roles))


def pin_key(change: Change, name: str, spki_sha256: str) -> None:
    """Accept a public key for a user.

    Raises:
        OperatorError: The key belongs to another user or is compromised.
    """
    check_key(change, name, spki_sha256)
    change.state.pins.add(spki_sha256, name, change.at)
    message = f"the public key SHA256:{spki_sha256} was accepted for {name}"
    change.record(PinAdded(message=message, target=name, spki_sha256=spki_sha256))
