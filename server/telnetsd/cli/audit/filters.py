"""The options by which the verbs that read the audit log choose events; each verb takes them as one value."""

import inspect
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import wraps
from typing import Annotated, Any, Final, Literal

import typer

from telnetsd.audit.reading.moment import Zone
from telnetsd.audit.reading.selection import Selection, parse_fingerprint, parse_network
from telnetsd.cli.common import fail_usage, home_of
from telnetsd.cli.times import SinceOption, UntilOption, UtcOption, interval_of, zone_of
from telnetsd.cli.words import complete_actions, complete_lines, complete_reasons, complete_users
from telnetsd.files.home import Home

_PARAMETER: Final = "asked"
"""The parameter of a verb that stands for all of these options."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options ask for: which events, and in which time zone times are read and shown."""

    selection: Selection
    zone: Zone


def _ask(
    user: Annotated[
        str, typer.Option(metavar="NAME", help="Only events by NAME or about NAME.", autocompletion=complete_users)
    ] = "",
    session: Annotated[str, typer.Option(metavar="ID", help="Only this session; the end of its id is enough.")] = "",
    line: Annotated[
        str,
        typer.Option(metavar="NAME", help="Only on this line; * matches anything.", autocompletion=complete_lines),
    ] = "",
    action: Annotated[
        str,
        typer.Option(metavar="ACTION", help="Only this action; * matches anything.", autocompletion=complete_actions),
    ] = "",
    reason: Annotated[
        str,
        typer.Option(
            metavar="REASON", help="Only with this reason; * matches anything.", autocompletion=complete_reasons
        ),
    ] = "",
    outcome: Annotated[
        Literal["success", "failure"] | None, typer.Option(metavar="success|failure", help="Only with this outcome.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only refusals and failures.")] = False,
    source: Annotated[str, typer.Option(metavar="ADDRESS", help="Only from this address or network.")] = "",
    certificate: Annotated[
        str,
        typer.Option(
            metavar="HEX", help="Only with this certificate: the start of its SHA-256, or its serial number."
        ),
    ] = "",
    text: Annotated[
        str, typer.Option(metavar="TEXT", help="Only with this text in the message or in what was typed.")
    ] = "",
    since: SinceOption = None,
    until: UntilOption = None,
    utc: UtcOption = False,
) -> Asked:
    """Read the options."""
    zone = zone_of(utc=utc)
    interval = interval_of(since, until, zone)
    try:
        network = parse_network(source) if source else None
        hexadecimal = parse_fingerprint(certificate) if certificate else ""
    except ValueError as error:
        fail_usage(str(error))
    if failed and outcome == "success":
        fail_usage("use only one of --failed, --outcome success")
    selection = Selection(
        user=user,
        session=session.lower(),
        line=line,
        action=action,
        reason=reason,
        outcome="failure" if failed else outcome or "",
        source=network,
        certificate=hexadecimal,
        text=text,
        since=interval.begin,
        until=interval.end,
    )
    return Asked(selection, zone)


def _with_other_names(asked: Asked, home: Home) -> Asked:
    """Let the name of a user stand for all names that the user has had."""
    user = asked.selection.user
    if not user or not home.state_file.exists():
        return asked
    from telnetsd.state.opening import open_store

    with closing(open_store(home)) as state:
        present = state.users.renamed_to(user) or user
        names = {present, *state.users.former_names(present)} - {user}
    return replace(asked, selection=replace(asked.selection, also=tuple(sorted(names))))


def with_filters(*left_out: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb these options in place of its parameter `asked`.

    Args:
        left_out: The names of the options that the verb does not have.
    """
    options = {name: one for name, one in inspect.signature(_ask).parameters.items() if name not in left_out}

    def give(verb: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(verb)
        parameters = [
            replaced.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name, one in own.parameters.items()
            for replaced in (options.values() if name == _PARAMETER else (one,))
        ]

        @wraps(verb)
        def run(**given: Any) -> None:  # noqa: ANN401 -- what typer has read
            asked = _ask(**{name: given.pop(name) for name in options})
            asked = _with_other_names(asked, home_of(given["context"], given["home"]))
            verb(**given, **{_PARAMETER: asked})

        # typer reads the signature and the annotations, and `wraps` has left both as they are in the verb.
        run.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        del run.__wrapped__
        return run

    return give
