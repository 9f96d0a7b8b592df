"""telnetsd serve."""

import logging
from typing import Annotated

import typer

from telnetsd.cli.common import HomeOption, home_of
from telnetsd.cli.passphrase import ServerPassphraseOption, passphrase_from


def serve(
    context: typer.Context,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="HOST:PORT instead of the configured address.")
    ] = None,
    passphrase_file: ServerPassphraseOption = None,
    home: HomeOption = None,
) -> None:
    """Run the server in the foreground; SIGHUP reloads, SIGTERM and ^C stop."""
    from telnetsd.daemon.serve import serve as run

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    run(home_of(context, home), listen, passphrase_from(passphrase_file, is_person_asked=False))
