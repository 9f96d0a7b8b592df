"""Words that name something, as arguments and options of several verbs; the shell completes them.

Completion reads what is there now. Where it cannot, it offers nothing: an error would appear amid what is typed.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from telnetsd.errors import TelnetsdError
from telnetsd.files.home import Home, find_home

ASK_S: Final = 0.5
"""How long a server may take to say what a word can be: the person has pressed Tab, and waits."""


def _completer(find: Callable[[Home], Iterable[str]]) -> Callable[[typer.Context, str], list[str]]:
    """Return the function that typer calls, for one that finds every word in a home folder."""

    def complete(context: typer.Context, incomplete: str) -> list[str]:
        try:
            return sorted(word for word in find(_home(context)) if word.startswith(incomplete))
        except (TelnetsdError, OSError):
            return []

    return complete


def _home(context: Any) -> Home:  # noqa: ANN401 -- typer's context does not say what it was given
    chosen: str | Path | None = context.params.get("home") or context.find_root().params.get("home")
    return find_home(Path(chosen) if chosen else None)


def _users(home: Home) -> Iterable[str]:
    from telnetsd.state.opening import open_store

    if not home.state_file.exists():
        return ()
    with closing(open_store(home)) as state:
        return state.users.names()


def _requests(home: Home) -> Iterable[str]:
    from telnetsd.state.opening import open_store
    from telnetsd.state.records import RequestStatus

    if not home.state_file.exists():
        return ()
    with closing(open_store(home)) as state:
        return [one.id for one in state.requests.every() if one.status is RequestStatus.PENDING]


def _lines(home: Home) -> Iterable[str]:
    from telnetsd.config.loading import load_settings

    return [one.name for one in load_settings(home.config_file).line]


def _sessions(home: Home) -> Iterable[str]:
    from telnetsd.audit.reading.row import short_session_id
    from telnetsd.control.client import ask
    from telnetsd.rpc.messages import ListSessionsRequest

    return [short_session_id(row.id) for row in ask(home.control_socket, ListSessionsRequest(), ASK_S)]


def _actions(_home: Home) -> Iterable[str]:
    from telnetsd.events.catalogue import ACTIONS

    return ACTIONS


def _reasons(_home: Home) -> Iterable[str]:
    from telnetsd.events.catalogue import ACTIONS

    return {reason for one in ACTIONS.values() for reason in one.reasons}


def complete_hosts(_context: typer.Context, incomplete: str) -> list[str]:
    """Return the hosts that a user has stored."""
    from telnetsd.client.profile import list_profiles

    return [name for name in list_profiles() if name.startswith(incomplete)]


complete_users = _completer(_users)
complete_lines = _completer(_lines)
complete_actions = _completer(_actions)
complete_reasons = _completer(_reasons)

UserArgument = Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_users)]
LineArgument = Annotated[str, typer.Argument(metavar="NAME", help="The line's name.", autocompletion=complete_lines)]
SessionArgument = Annotated[
    str, typer.Argument(metavar="ID", help="As `session list` shows it.", autocompletion=_completer(_sessions))
]
RequestArgument = Annotated[
    str,
    typer.Argument(metavar="ID", help="As shown by `request list`.", autocompletion=_completer(_requests)),
]
