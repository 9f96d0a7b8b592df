"""telnetsd audit index."""

import os
import sys
from typing import Annotated, Final

import typer

from telnetsd.audit.index.keeping import index_log
from telnetsd.audit.reading.archive import take_snapshot
from telnetsd.cli.audit.progress import reading_bar
from telnetsd.cli.common import HomeOption, home_of
from telnetsd.errors import OperatorError

_NICENESS: Final = 10
"""A running server goes first."""


def index(
    context: typer.Context,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Rebuild the whole index.")] = False,
    home: HomeOption = None,
) -> None:
    """Bring the index of the audit log up to date; a running server does that by itself."""
    where = home_of(context, home)
    os.nice(_NICENESS)
    snapshot = take_snapshot(where.audit_file)
    try:
        with reading_bar(snapshot.size) as bar:
            count = index_log(snapshot, where.audit_file, where.log_index_folder, bar.show, is_rebuilt=rebuild)
    except OSError as error:
        raise OperatorError(f"cannot write to {where.shown(where.log_index_folder)}: {error.strerror}") from error
    print(f"indexed {count} file{'' if count == 1 else 's'} of the audit log", file=sys.stderr)
