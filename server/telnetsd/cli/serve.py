"""telnetsd serve, and the verb that it uses to start its workers."""

import logging
from typing import Annotated, Literal

import typer

from telnetsd.cli.common import HomeOption, home_of
from telnetsd.cli.passphrase import ServerPassphraseOption, passphrase_from
from telnetsd.config.values import AUTO, WORKERS_MAX


def _workers(text: str | None) -> int | Literal["auto"] | None:
    """Read `--workers`: a number, or auto."""
    if text is None:
        return None
    if text == AUTO:
        return AUTO
    if text.isdecimal() and 1 <= int(text) <= WORKERS_MAX:
        return int(text)
    raise typer.BadParameter(f"--workers takes a number from 1 to {WORKERS_MAX}, or {AUTO}")


LogLevelOption = Annotated[
    Literal["warning", "info", "debug"],
    typer.Option("--log-level", help="What is printed while the server runs; debug: each step of each session."),
]


def serve(
    context: typer.Context,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Listen on this address, not on the configured one.")
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(metavar="N|auto", help="Number of worker processes; auto: one per core."),
    ] = None,
    log_level: LogLevelOption = "warning",
    passphrase_file: ServerPassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Run the server in the foreground; SIGHUP reloads, SIGTERM and ^C stop."""
    from telnetsd.daemon.server import Options
    from telnetsd.daemon.server import serve as run

    _print_log(log_level)
    ask = passphrase_from(passphrase_file, is_person_asked=False)
    worker_options: tuple[str, ...] = ("--log-level", log_level)
    if passphrase_file:
        worker_options += ("--passphrase-file", str(passphrase_file.absolute()))
    run(home_of(context, home), Options(listen, _workers(workers), ask, worker_options))


def workers(
    plan: Annotated[str, typer.Argument(help="What `telnetsd serve` asks for, as JSON.")],
    log_level: LogLevelOption = "warning",
    passphrase_file: ServerPassphraseOption = None,
) -> None:
    """Start and restart the workers of a server; only for use by `telnetsd serve`."""
    from telnetsd.daemon.workers.forker import run_forker

    _print_log(log_level)
    run_forker(plan, passphrase_from(passphrase_file, is_person_asked=False))


def _print_log(level: str) -> None:
    """Print log messages from `level` on; `debug` includes each step of each session, with the session's id."""
    form = "%(levelname)s: %(message)s" if level == "warning" else "%(asctime)s %(levelname)s: %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form)
    logging.getLogger("telnetsd").setLevel(level.upper())
