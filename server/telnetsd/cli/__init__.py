"""The command line: one file per group of verbs. It only prints, and makes no decisions."""

import io
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from telnetsd import __version__
from telnetsd.cli import (
    audit,
    ca,
    check,
    connect,
    init,
    line,
    recording,
    reload,
    request,
    serve,
    session,
    top,
    trust,
    user,
    user_certificates,
)
from telnetsd.errors import OperatorError, StoreError

app = typer.Typer(
    name="telnetsd",
    help="A telnet-over-TLS line server that identifies users by their certificates.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("workers", hidden=True)(serve.workers)
app.command("connect")(connect.connect)
app.command("check")(check.check)
app.command("reload")(reload.reload)
app.command("top")(top.top)
user.app.command("renew")(user_certificates.renew)
user.app.command("revoke")(user_certificates.revoke_)
user.app.command("restore")(user_certificates.restore_)
user.app.command("remove")(user_certificates.remove)
user.app.command("explain")(user_certificates.explain)
app.add_typer(user.app, name="user")
app.add_typer(request.app, name="request")
app.add_typer(ca.app, name="ca")
app.add_typer(trust.app, name="trust")
app.add_typer(session.app, name="session")
app.add_typer(line.app, name="line")
app.add_typer(audit.app, name="audit")
app.add_typer(recording.app, name="recording")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"telnetsd {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    home: Annotated[
        Path | None,
        typer.Option("--home", metavar="DIR", help="The home folder; else $TELNETSD_HOME, else the current folder."),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Read the options that precede the verb."""
    context.obj = home


def _show_every_character() -> None:
    """Let no output fail on a character that the terminal's encoding does not have: print its number instead."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command line. Exit status: 0 done, 1 refused or not found, 2 wrong usage."""
    _show_every_character()
    if any("\udc80" <= character <= "\udcff" for argument in sys.argv for character in argument):
        print("error: an argument is not UTF-8; encode it in UTF-8", file=sys.stderr)
        sys.exit(2)
    try:
        app()
    except (OperatorError, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output is gone: write nothing more, not even when the interpreter flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f" {error.filename}:" if error.filename else ""
        remedy = "run this as the owner of the home folder" if isinstance(error, PermissionError) else "fix that"
        print(f"error:{where} {error.strerror or error}; {remedy}", file=sys.stderr)
        sys.exit(1)
