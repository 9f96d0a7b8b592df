"""The command line's last resort: any failure is one line and an exit status."""

import inspect
import subprocess
import sys

import pytest

from telnetsd import __version__, cli
from telnetsd.cli.lazy_verb import Group, Verb
from telnetsd.cli.verbs import VERBS
from telnetsd.errors import OperatorError, StoreError


@pytest.mark.parametrize(
    ("error", "said", "status"),
    [
        (OperatorError("what: where; remedy"), "error: what: where; remedy\n", 1),
        (PermissionError(13, "Permission denied", "/x"), "error: /x: Permission denied; run this as the owner", 1),
        (OSError("odd"), "error: odd; fix that\n", 1),
        (
            StoreError("state.db: database is locked; try again"),
            "error: state.db: database is locked; try again\n",
            1,
        ),
        (KeyboardInterrupt(), "", 130),
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException,
    said: str,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(prog_name: str) -> None:
        raise error

    monkeypatch.setattr(cli, "make_app", lambda: fail)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == status
    assert capsys.readouterr().err.startswith(said)


def test_the_version_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["telnetsd", "--version"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"telnetsd {__version__}\n"


def _verbs() -> list[Verb]:
    return [verb for one in VERBS for verb in (one.verbs if isinstance(one, Group) else (one,))]


@pytest.mark.parametrize("verb", _verbs(), ids=lambda verb: verb.place)
def test_the_summary_in_the_table_is_the_beginning_of_the_help_of_the_verb(verb: Verb) -> None:
    described = " ".join((inspect.getdoc(verb.load()) or "").split())
    assert described.startswith(verb.summary.rstrip("."))


@pytest.mark.parametrize(
    ("verb", "heavy"),
    [
        ("--help", {"telnetsd.config", "msgspec", "rich", "cryptography", "asyncio"}),
        ("user list --help", {"telnetlib3", "structlog", "cryptography", "asyncio"}),
        ("session list --help", {"telnetlib3", "structlog", "cryptography", "asyncio"}),
        ("line list --help", {"telnetlib3", "structlog", "cryptography", "asyncio"}),
        ("audit tail --help", {"telnetlib3", "structlog", "cryptography", "asyncio"}),
    ],
)
def test_a_verb_that_only_shows_something_imports_no_library_that_it_does_not_need(
    verb: str, heavy: set[str]
) -> None:
    program = "import sys; from telnetsd.cli import make_app; make_app()(sys.argv[1:], standalone_mode=False)"
    program += "; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program, *verb.split()], capture_output=True, text=True, check=True)
    assert heavy & set(done.stdout.splitlines()[-1].split()) == set()
