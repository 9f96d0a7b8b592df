"""telnetsd reload."""

import typer

from telnetsd.cli.common import HomeOption, home_of
from telnetsd.control.client import ask
from telnetsd.rpc.messages import ReloadRequest


def reload(context: typer.Context, home: HomeOption = None) -> None:
    """Let the running server load configuration, trust anchors, CRLs and its certificate anew, without a drop."""
    typer.echo(f"reloaded: {ask(home_of(context, home).control_socket, ReloadRequest())}")
