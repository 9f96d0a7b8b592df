"""telnetsd user list, show."""

import dataclasses
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from telnetsd.audit.index.blocks import Login
from telnetsd.audit.index.searching import LogSearch
from telnetsd.audit.reading.archive import Snapshot, read_lines, take_snapshot
from telnetsd.audit.reading.row import read_event, value_of
from telnetsd.cli.common import HomeOption, JsonOption, fail_usage, home_of, print_json, print_table
from telnetsd.cli.words import UserArgument
from telnetsd.config.values import BUILT_IN_CLASS
from telnetsd.errors import OperatorError
from telnetsd.events.fields import parse_timestamp
from telnetsd.files.home import Home
from telnetsd.pki.facts import days_left
from telnetsd.pki.revocation import Revocation
from telnetsd.state.opening import open_store
from telnetsd.state.records import FIRST_DEVICE, IssuedCertificate, UserRecord


def list_(
    context: typer.Context,
    expiring: Annotated[
        str | None, typer.Option(metavar="30d", help="Only users whose last certificate expires within this time.")
    ] = None,
    inactive: Annotated[
        str | None, typer.Option(metavar="90d", help="Only users who have not logged in for this time, or never.")
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List the users."""
    where, now = home_of(context, home), datetime.now(UTC)
    with closing(open_store(where)) as state:
        users = state.users.every()
    logins = _last_logins(where)
    if expiring is not None:
        end = now + _span(expiring)
        users = [one for one in users if one.last_day is not None and one.last_day <= end]
    if inactive is not None:
        since = now - _span(inactive)
        _require_log_since(where, since)
        users = [one for one in users if (logins.get(one.user.name) or one.added_at) < since]
    if json:
        print_json([_to_json(one, logins.get(one.user.name)) for one in users])
        return
    print_table(
        ["user", "roles", "class", "devices", "last login", "until", "days"],
        [
            (
                one.user.name,
                ", ".join(one.user.roles),
                str(_class_of(one, now)),
                ", ".join(_devices_of(one, now)) or "-",
                f"{at:%Y-%m-%d}" if (at := logins.get(one.user.name)) is not None else "never",
                *_until(one, now),
            )
            for one in users
        ],
    )


def _last_logins(home: Home) -> dict[str, datetime]:
    """Return when each user last logged in, as far as the log goes back."""
    found: dict[str, datetime] = {}
    with closing(open_store(home)) as state:
        for login in _logins(home):
            at, user = parse_timestamp(login.at), state.users.renamed_to(login.user) or login.user
            if at is not None:
                found[user] = max(found.get(user, at), at)
    return found


def _logins(home: Home) -> list[Login]:
    snapshot = _snapshot_of(home)
    if snapshot is None:
        return []
    search = LogSearch(
        snapshot=snapshot, log=home.audit_file, folder=home.log_index_folder, on_progress=lambda _: None
    )
    return search.logins()


def _snapshot_of(home: Home) -> Snapshot | None:
    """Return the log; None before its first event."""
    is_new = not any(home.audit_file.parent.glob(f"{home.audit_file.stem}*"))
    return None if is_new else take_snapshot(home.audit_file)


def _require_log_since(home: Home, since: datetime) -> None:
    """Refuse to say who has not logged in since a moment, if the log does not go back that far.

    Raises:
        OperatorError: Its first files were removed, and with them the logins.
    """
    snapshot = _snapshot_of(home)
    if snapshot is None:
        return
    first = read_event(next((line.content for line in read_lines(snapshot)), b""))
    at = parse_timestamp(str(value_of(first, "@timestamp")))
    if value_of(first, "event.sequence") != 1 and (at is None or at > since):
        begins = "" if at is None else f" before {at:%Y-%m-%d}"
        raise OperatorError(f"the audit log has no logins{begins}: its older files were removed; use a shorter time")


def _to_json(record: UserRecord, last_login: datetime | None) -> dict[str, object]:
    # A certificate of the built-in CA that asserts no class has that of the CA.
    certificates = tuple(
        dataclasses.replace(one, assurance_class=one.assurance_class or BUILT_IN_CLASS) for one in record.certificates
    )
    record = dataclasses.replace(record, certificates=certificates)
    fields = {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}
    return {**fields, "class": _class_of(record, datetime.now(UTC)), "last_login": last_login}


def _class_of(record: UserRecord, now: datetime) -> int:
    """Return the highest class that a user has by a certificate that counts: the built-in CA's, or a higher one."""
    counting = [one for one in record.certificates if one.revocation is None and one.not_after > now]
    return max((one.assurance_class or BUILT_IN_CLASS for one in counting), default=0)


def _devices_of(record: UserRecord, now: datetime) -> list[str]:
    """Return the labels of the certificates that count, the first device as `first`, and the number of pins."""
    counting = [one for one in record.certificates if one.revocation is None and one.not_after > now]
    labels = sorted({one.label for one in counting})
    pins = sum(pin.revocation is None for pin in record.pins)
    return [*(label or FIRST_DEVICE for label in labels), *([f"{pins} pinned"] if pins else [])]


def show(context: typer.Context, name: UserArgument, json: JsonOption = False, home: HomeOption = None) -> None:
    """Show one user, with all of their certificates and pins."""
    where = home_of(context, home)
    with closing(open_store(where)) as state:
        found = state.users.require(name)
    logins: dict[str, str] = {}
    for login in _logins(where):
        logins[login.certificate_sha256] = max(logins.get(login.certificate_sha256, ""), login.at)
    if json:
        print_json(_to_json(found, _last_logins(where).get(name)))
        return
    mapped = "; entries of other CAs may name this user" if found.is_mapped else ""
    typer.echo(f"{name} ({', '.join(found.user.roles)}), added {found.added_at:%Y-%m-%d %H:%M} UTC{mapped}")
    for one in found.certificates:
        _show_certificate(one, logins.get(one.sha256, ""))
    for pin in found.pins:
        typer.echo(f"  pin          SHA256:{pin.spki_sha256}")
        typer.echo(f"  accepted     {pin.added_at:%Y-%m-%d %H:%M} UTC{_revoked(pin.revocation)}")


def _span(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if re.fullmatch("[0-9]{1,5}", number) is None or unit != "d":
        fail_usage(f"not a number of days: {text!r}; write it like 30d")
    return timedelta(days=int(number))


def _until(record: UserRecord, now: datetime) -> tuple[str, str]:
    if record.last_day is not None:
        return f"{record.last_day:%Y-%m-%d}", str(days_left(record.last_day, now))
    if any(pin.revocation is None for pin in record.pins):
        return "pinned", "-"
    found = [*(one.revocation for one in record.certificates), *(pin.revocation for pin in record.pins)]
    if any(one is not None and one.is_hold for one in found):
        return "on hold", "-"
    return ("by mapping" if record.is_mapped else "revoked" if found else "none"), "-"


def _show_certificate(one: IssuedCertificate, last_login: str) -> None:
    days, at = days_left(one.not_after, datetime.now(UTC)), parse_timestamp(last_login)
    replaced = " (renewed: it has a successor)" if one.is_renewed and one.revocation is None else ""
    typer.echo(f"  device       {one.label or FIRST_DEVICE}{replaced}")
    left = f" ({days} days left)" if one.revocation is None and days > 0 else ""
    typer.echo(f"  serial       {one.serial_number}{_revoked(one.revocation)}")
    typer.echo(f"  valid        {one.not_before:%Y-%m-%d} to {one.not_after:%Y-%m-%d}{left}")
    typer.echo(f"  last login   {f'{at:%Y-%m-%d %H:%M} UTC' if at is not None else 'never'}")
    typer.echo(f"  class        {one.assurance_class or BUILT_IN_CLASS}")
    typer.echo(f"  key          {one.public_key} bits")
    typer.echo(f"  fingerprint  SHA256:{one.sha256}")
    typer.echo(f"  public key   SHA256:{one.spki_sha256}")


def _revoked(revocation: Revocation | None) -> str:
    if revocation is None:
        return ""
    what = "on hold since" if revocation.is_hold else "revoked"
    return f"  {what} {revocation.revoked_at:%Y-%m-%d %H:%M} UTC ({revocation.reason.value})"
