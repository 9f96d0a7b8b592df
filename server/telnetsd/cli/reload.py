"""telnetsd reload."""

import typer

from telnetsd.cli.common import HomeOption, home_of
from telnetsd.control.client import ask
from telnetsd.rpc.messages import ReloadRequest


def reload(context: typer.Context, home: HomeOption = None) -> None:
    """Reload configuration, trust anchors, CRLs and the server's certificate; no connection is dropped."""
    typer.echo(f"reloaded: {ask(home_of(context, home).control_socket, ReloadRequest())}")
