"""telnetsd serve."""

import logging
from typing import Annotated

import typer

from telnetsd.cli.common import HomeOption, home_of


def serve(
    context: typer.Context,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="HOST:PORT instead of the configured address.")
    ] = None,
    home: HomeOption = None,
) -> None:
    """Run the server in the foreground."""
    from telnetsd import daemon

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    daemon.serve(home_of(context, home), listen)
