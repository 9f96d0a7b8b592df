"""The command line's last resort: any failure is one line and an exit status."""

import sys

import pytest

from telnetsd import __version__, cli
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
    def fail() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
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
