"""telnetsd line import."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from telnetsd.administration.migration.conserver import read_conserver
from telnetsd.administration.migration.imported import to_toml
from telnetsd.administration.migration.ser2net import read_ser2net
from telnetsd.errors import OperatorError


class Origin(StrEnum):
    """Whose configuration is imported."""

    CONSERVER = "conserver"
    SER2NET = "ser2net"


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="conserver.cf, or ser2net.yaml.")],
    origin: Annotated[
        Origin | None, typer.Option("--from", help="Whose it is; else .yaml and .yml are ser2net's.")
    ] = None,
) -> None:
    """Print another console server's configuration as entries of telnetsd.toml, with what does not carry over."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise OperatorError(f"cannot read {file}: {error.strerror}") from error
    if origin is None:
        origin = Origin.SER2NET if file.suffix in {".yaml", ".yml"} else Origin.CONSERVER
    imported = read_ser2net(text) if origin is Origin.SER2NET else read_conserver(text)
    typer.echo(f"# {origin.value}: {file.name}")
    for row in to_toml(imported):
        typer.echo(row)
    lines, others = len(imported.lines), imported.not_carried_over
    typer.echo(f"{lines} lines; {others} notes on what does not carry over are among the comments", err=True)
