"""telnetsd request: list, show, approve, deny."""

from contextlib import closing
from typing import Annotated

import typer

from telnetsd.administration.authority.issuing import Grant
from telnetsd.administration.enrolment.approval import Approval, approve_request, deny_request
from telnetsd.administration.users.names import look_alike
from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_table
from telnetsd.cli.passphrase import PassphraseOption, passphrase_from
from telnetsd.cli.user.adding import ClassOption, DaysOption, LabelOption, RoleOption
from telnetsd.cli.words import RequestArgument
from telnetsd.commands.table import USER_ROLE
from telnetsd.errors import OperatorError
from telnetsd.state.opening import open_store
from telnetsd.state.records import RequestKind, RequestStatus


def list_(context: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """List the requests that have not expired."""
    with closing(open_store(home_of(context, home))) as state:
        requests = state.requests.every()
    if json:
        print_json(requests)
        return
    print_table(
        ["id", "for", "kind", "status", "from", "requested (UTC)", "expires"],
        [
            (
                one.id,
                one.name,
                one.kind.value,
                one.status.value,
                one.source,
                f"{one.requested_at:%Y-%m-%d %H:%M}",
                f"{one.expires_at:%Y-%m-%d}",
            )
            for one in requests
        ],
    )


def show(
    context: typer.Context,
    request_id: RequestArgument,
    json: JsonOption = False,
    home: HomeOption = None,
) -> None:
    """Show one request, with the values to compare before approving it."""
    with closing(open_store(home_of(context, home))) as state:
        found = state.requests.find(request_id.lower())
        names = state.users.names()
    if found is None:
        raise OperatorError(f"no request {request_id!a}; see: telnetsd request list")
    if json:
        print_json(found)
        return
    typer.echo(f"{found.id} ({found.kind.value}, {found.status.value})")
    relation = "" if found.kind is RequestKind.RENEWAL else _relation(found.name, names)
    typer.echo(f"  user name    {found.name}{relation}")
    typer.echo(f"  subject      {found.subject or '(empty)'} (not verified)")
    typer.echo(f"  key          {found.public_key} bits")
    typer.echo(f"  public key   SHA256:{found.spki_sha256}")
    typer.echo(f"  from         {found.source}")
    typer.echo(f"  requested    {found.requested_at:%Y-%m-%d %H:%M} UTC")
    typer.echo(f"  expires      {found.expires_at:%Y-%m-%d %H:%M} UTC")
    if found.user_name is not None:
        typer.echo(f"  granted to   {found.user_name}")
    elif found.status is RequestStatus.PENDING:
        typer.echo("approve it only if the applicant read you the same id and public key over a channel you trust")


def approve(
    context: typer.Context,
    request_id: RequestArgument,
    user: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The user it is for; required if a user of that name already exists."),
    ] = None,
    role: RoleOption = None,
    days: DaysOption = None,
    assurance_class: ClassOption = None,
    label: LabelOption = "",
    pin: Annotated[
        bool, typer.Option("--pin", help="Accept the self-signed certificate itself (class 0); issue no certificate.")
    ] = False,
    allow_similar: Annotated[
        bool, typer.Option("--allow-similar", help="Allow a name that is easily mistaken for that of another user.")
    ] = False,
    passphrase_file: PassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Approve a request."""
    grant = Grant(days, assurance_class, label)
    approval = Approval(user, tuple(dict.fromkeys(role or ())), grant, pin, allow_similar)
    done = approve_request(home_of(context, home), request_id, approval, USER_ROLE, passphrase_from(passphrase_file))
    name = done.user.name
    if done.certificate is None:
        typer.echo(f"accepted: {name} ({', '.join(done.user.roles)}) connects with the same self-signed certificate")
        return
    until = f"{done.certificate.not_valid_after_utc:%Y-%m-%d}"
    typer.echo(f"granted to {name} ({', '.join(done.user.roles)}), valid until {until}")
    typer.echo("next: `telnetsd enroll` or `renew` of the user fetches it; in a session: collect")


def deny(context: typer.Context, request_id: RequestArgument, home: HomeOption = None) -> None:
    """Deny a request."""
    found = deny_request(home_of(context, home), request_id)
    typer.echo(f"denied {found.id}, for {found.name}")


def _relation(name: str, names: list[str]) -> str:
    if name in names:
        return ": A USER OF THAT NAME EXISTS; the applicant becomes that user"
    similar = look_alike(name, names)
    return f": easily mistaken for the user {similar}" if similar else ""
