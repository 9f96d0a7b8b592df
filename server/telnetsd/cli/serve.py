"""telnetsd serve, and the verb by which it starts its workers."""

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


def serve(
    context: typer.Context,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="HOST:PORT instead of the configured address.")
    ] = None,
    workers: Annotated[
        str | None,
        typer.Option(metavar="N|auto", help="How many processes serve; auto: one for each core."),
    ] = None,
    passphrase_file: ServerPassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Run the server in the foreground; SIGHUP reloads, SIGTERM and ^C stop."""
    from telnetsd.daemon.server import Options
    from telnetsd.daemon.server import serve as run

    _say_warnings()
    ask = passphrase_from(passphrase_file, is_person_asked=False)
    worker_options = ("--passphrase-file", str(passphrase_file.absolute())) if passphrase_file else ()
    run(home_of(context, home), Options(listen, _workers(workers), ask, worker_options))


def workers(
    plan: Annotated[str, typer.Argument(help="What `telnetsd serve` wants to be started, as JSON.")],
    passphrase_file: ServerPassphraseOption = None,
) -> None:
    """Start and restart the workers of a server; for `telnetsd serve` alone."""
    from telnetsd.daemon.workers.forker import run_forker

    _say_warnings()
    run_forker(plan, passphrase_from(passphrase_file, is_person_asked=False))


def _say_warnings() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
