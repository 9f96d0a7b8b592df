"""telnetsd user: renew, revoke, restore, remove, explain."""

from pathlib import Path
from typing import Annotated

import typer

from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.authority.revocation import RevocationResult, RevocationTarget, restore, revoke
from telnetsd.administration.installation.operator import by_operator
from telnetsd.administration.users.credentials import GeneratedKey, KeptKey, RequestFile
from telnetsd.administration.users.explain import explain as explain_certificate
from telnetsd.administration.users.users import add_certificate, remove_user, renew_user
from telnetsd.cli.common import HomeOption, JsonOption, fail_usage, home_of, print_json
from telnetsd.cli.passphrase import (
    PassphraseOption,
    PasswordFileOption,
    PasswordOption,
    passphrase_from,
    pkcs12_password,
)
from telnetsd.cli.user.adding import ClassOption, CsrOption, DaysOption, KeyTypeOption, LabelOption, until_of
from telnetsd.cli.words import UserArgument, complete_users
from telnetsd.errors import OperatorError
from telnetsd.events.reason import RevocationReason
from telnetsd.pki.keys import KeyType
from telnetsd.state.records import FIRST_DEVICE

UserArguments = Annotated[list[str] | None, typer.Argument(metavar="[NAME …]", autocompletion=complete_users)]
DeviceOption = Annotated[
    str | None, typer.Option("--label", metavar="LABEL", help="Only what the user has for this device.")
]
RevokedRoleOption = Annotated[
    str | None, typer.Option("--role", metavar="ROLE", help="Everything of every user with this role.")
]
NamesFileOption = Annotated[
    Path | None, typer.Option("--file", metavar="FILE", help="The users that are named in a file, one a line.")
]
SerialOption = Annotated[
    str | None,
    typer.Option("--serial", metavar="S", help="One certificate, by its serial number as shown by `user show`."),
]


def renew(
    context: typer.Context,
    name: UserArgument,
    days: DaysOption = None,
    assurance_class: ClassOption = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Generate a new key; default: keep the current one.")
    ] = False,
    key_type: KeyTypeOption = None,
    csr: CsrOption = None,
    label: LabelOption = "",
    password: PasswordOption = False,
    password_file: PasswordFileOption = None,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Issue another certificate to a user; the current one stays valid until it expires."""
    where = home_of(context, home)
    if csr is not None and (new_key or key_type):
        fail_usage("--csr has its own key; omit --new-key and --key-type")
    locked = pkcs12_password(password_file, is_asked=password)
    credential: GeneratedKey | RequestFile | KeptKey = KeptKey(locked)
    if csr is not None:
        credential = RequestFile(csr)
    elif new_key or key_type:
        credential = GeneratedKey(key_type or KeyType.EC, locked)
    grant = Grant(days, assurance_class, "" if label == FIRST_DEVICE else label)
    renewed = renew_user(where, name, credential, grant, passphrase_from(passphrase_file))
    typer.echo(f"renewed {name}{until_of(renewed)}")
    typer.echo(f"hand over: {', '.join(where.shown(path) for path in renewed.files)}")


def issue_(
    context: typer.Context,
    name: UserArgument,
    label: Annotated[
        str, typer.Option("--label", metavar="LABEL", help="The device that it is for: 1 to 32 of a-z, 0-9 and dash.")
    ],
    days: DaysOption = None,
    assurance_class: ClassOption = None,
    key_type: KeyTypeOption = None,
    csr: CsrOption = None,
    password: PasswordOption = False,
    password_file: PasswordFileOption = None,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Issue a further certificate to a user, for another device; the others stay as they are."""
    where = home_of(context, home)
    if csr is not None and key_type:
        fail_usage("--csr has its own key; omit --key-type")
    locked = pkcs12_password(password_file, is_asked=password)
    credential = RequestFile(csr) if csr is not None else GeneratedKey(key_type or KeyType.EC, locked)
    grant = Grant(days, assurance_class, label)
    issued = add_certificate(where, name, credential, grant, passphrase_from(passphrase_file))
    typer.echo(f"issued to {name} for {label}{until_of(issued)}")
    typer.echo(f"hand over: {', '.join(where.shown(path) for path in issued.files)}")


def revoke_(
    context: typer.Context,
    names: UserArguments = None,
    serial: SerialOption = None,
    label: DeviceOption = None,
    role: RevokedRoleOption = None,
    file: NamesFileOption = None,
    reason: Annotated[
        RevocationReason, typer.Option(metavar="R", help=f"One of {', '.join(RevocationReason)} (RFC 5280).")
    ] = RevocationReason.UNSPECIFIED,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Revoke certificates and pins of users, or one certificate; open sessions end within a second."""
    target = _target(names, serial, label, role, file)
    done = revoke(home_of(context, home), target, reason, by_operator(), passphrase_from(passphrase_file))
    _tell_what_was_done(done, "on hold" if done.is_hold else "revoked")
    if done.is_hold and reason is not RevocationReason.CERTIFICATE_HOLD:
        typer.echo("this node may only put on hold; on a node that may do more, confirm it with the same command")


def restore_(
    context: typer.Context,
    names: UserArguments = None,
    serial: SerialOption = None,
    label: DeviceOption = None,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Restore certificates and pins that are on hold (revoked with --reason certificateHold)."""
    target = _target(names, serial, label, None, None)
    done = restore(home_of(context, home), target, by_operator(), passphrase_from(passphrase_file))
    _tell_what_was_done(done, "valid again")


def remove(
    context: typer.Context,
    name: UserArgument,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Remove a user, revoke their credentials, and delete their files."""
    spread, warning = remove_user(home_of(context, home), name, passphrase_from(passphrase_file))
    typer.echo(f"removed {name}")
    _tell_spread(spread)
    _warn(warning)


def explain(
    context: typer.Context,
    cert: Annotated[Path, typer.Argument(metavar="CERT", help="PEM: the leaf first, then the chain sent with it.")],
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Explain step by step which user a certificate identifies, if any, and why."""
    found = explain_certificate(home_of(context, home), cert)
    if json:
        print_json(found)
    else:
        width = max(len(step.what) for step in found.steps)
        for step in found.steps:
            typer.echo(f"{step.what:<{width}}  {step.found}")
        typer.echo(f"{'outcome':<{width}}  {found.outcome}")
    if not found.is_user:
        raise typer.Exit(1)


def _tell_what_was_done(done: RevocationResult, what: str) -> None:
    for one in done.certificates:
        typer.echo(f"certificate {one.serial_number} of {one.user_name} is {what}")
    for pin in done.pins:
        typer.echo(f"pin SHA256:{pin.spki_sha256} of {pin.user_name} is {what}")
    _tell_spread(done.spread)
    _warn(done.warning)


def _tell_spread(spread: str) -> None:
    if spread:
        typer.echo(spread)


def _warn(warning: str) -> None:
    if warning:
        typer.echo(f"warning: it is effective here, but the CRL was not signed again: {warning}", err=True)


def _target(
    names: list[str] | None, serial: str | None, label: str | None, role: str | None, file: Path | None
) -> RevocationTarget:
    every = (*(names or ()), *(_names_in(file) if file is not None else ()))
    if sum((bool(every), serial is not None, role is not None)) != 1:
        fail_usage("name users (or --file FILE), or use --serial S, or --role ROLE")
    if label is not None and not every:
        fail_usage("--label is for a user's devices: name the user")
    return RevocationTarget(every, serial, "" if label == FIRST_DEVICE else label, role)


def _names_in(file: Path) -> list[str]:
    """Return the names in a file: one a line, or the first column of a CSV; a header `name` is left out."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"cannot read {file}: {getattr(error, 'strerror', None) or error}") from error
    names = [line.partition(",")[0].strip() for line in lines]
    found = [name for number, name in enumerate(names) if name and not (number == 0 and name == "name")]
    if not found:
        raise OperatorError(f"{file} has no names; write one a line")
    return found
