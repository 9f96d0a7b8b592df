"""telnetsd user list, show."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from telnetsd.cli.common import HomeOption, JsonOption, fail_usage, home_of, print_json, print_table
from telnetsd.cli.words import UserArgument
from telnetsd.pki.facts import days_left
from telnetsd.pki.revocation import Revocation
from telnetsd.state.opening import open_store
from telnetsd.state.records import IssuedCertificate, UserRecord


def list_(
    context: typer.Context,
    expiring: Annotated[
        str | None, typer.Option(metavar="30d", help="Only users whose last certificate expires within this time.")
    ] = None,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """List the users."""
    now = datetime.now(UTC)
    with closing(open_store(home_of(context, home))) as state:
        users = state.users.every()
    if expiring is not None:
        end = now + _span(expiring)
        users = [one for one in users if one.last_day is not None and one.last_day <= end]
    if json:
        print_json(users)
        return
    print_table(
        ["user", "roles", "added", "certificate until", "days left"],
        [
            (one.user.name, ", ".join(one.user.roles), f"{one.added_at:%Y-%m-%d}", *(_until(one, now)))
            for one in users
        ],
    )


def show(context: typer.Context, name: UserArgument, json: JsonOption = False, home: HomeOption = None) -> None:
    """Show one user, with all of their certificates and pins."""
    with closing(open_store(home_of(context, home))) as state:
        found = state.users.require(name)
    if json:
        print_json(found)
        return
    mapped = "; entries of other CAs may name this user" if found.is_mapped else ""
    typer.echo(f"{name} ({', '.join(found.user.roles)}), added {found.added_at:%Y-%m-%d %H:%M} UTC{mapped}")
    for one in found.certificates:
        _show_certificate(one)
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


def _show_certificate(one: IssuedCertificate) -> None:
    days = days_left(one.not_after, datetime.now(UTC))
    typer.echo(f"  serial       {one.serial_number}{_revoked(one.revocation)}")
    typer.echo(f"  valid        {one.not_before:%Y-%m-%d} to {one.not_after:%Y-%m-%d} ({days} days left)")
    if one.assurance_class:
        typer.echo(f"  class        {one.assurance_class}")
    typer.echo(f"  key          {one.public_key} bits")
    typer.echo(f"  fingerprint  SHA256:{one.sha256}")
    typer.echo(f"  public key   SHA256:{one.spki_sha256}")


def _revoked(revocation: Revocation | None) -> str:
    if revocation is None:
        return ""
    what = "on hold since" if revocation.is_hold else "revoked"
    return f"  {what} {revocation.revoked_at:%Y-%m-%d %H:%M} UTC ({revocation.reason.value})"
