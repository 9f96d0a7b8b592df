"""The command line: one file per group of verbs. It only prints, and makes no decisions."""

import io
import os
import sys
from pathlib import Path
from typing import Annotated, cast

import typer
import typer.main
from typer.core import TyperGroup

from telnetsd import __version__
from telnetsd.cli.lazy_verb import CONTEXT_SETTINGS, add_verbs
from telnetsd.cli.verbs import VERBS
from telnetsd.errors import OperatorError, StoreError


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"telnetsd {__version__}")
        raise typer.Exit


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
    """Identify users by their certificates: a telnet-over-TLS line server."""
    context.obj = home


def make_app() -> TyperGroup:
    """Return the command line, whose verbs are imported when they run."""
    app = typer.Typer(name="telnetsd", no_args_is_help=True, rich_markup_mode=None, context_settings=CONTEXT_SETTINGS)
    app.callback(help="A telnet-over-TLS line server that identifies users by their certificates.")(root)
    group = cast("TyperGroup", typer.main.get_command(app))
    add_verbs(group, VERBS)
    return group


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
        make_app()(prog_name="telnetsd")
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
