"""telnetsd notify test."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from telnetsd.cli.common import HomeOption, home_of
from telnetsd.config.loading import load_settings
from telnetsd.errors import OperatorError
from telnetsd.events.fields import timestamp
from telnetsd.notify.delivery import DeliveryError, Receiver

ACTION: Final = "notify-test"


def send_test(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Only this entry.")] = "",
    home: HomeOption = None,
) -> None:
    """Send a test event to each receiver of `[[notify]]`. Exit status 1 if one does not accept it."""
    where = home_of(context, home)
    entries = [one for one in load_settings(where.config_file).notify if name in {"", one.name}]
    if not entries:
        raise OperatorError(f"no [[notify]] {name!r} in telnetsd.toml" if name else "telnetsd.toml has no [[notify]]")
    has_failed = False
    for entry in entries:
        try:
            asyncio.run(Receiver(where, entry).deliver(_test_event(), 0))
            typer.echo(f"{entry.name}: delivered")
        except (DeliveryError, OperatorError) as error:
            has_failed = True
            typer.echo(f"{entry.name}: not delivered: {error}", err=True)
    if has_failed:
        raise typer.Exit(1)


def _test_event() -> dict[str, Any]:
    """Return an event that is in no log."""
    return {
        "@timestamp": timestamp(datetime.now(UTC)),
        "event": {"action": ACTION, "kind": "event", "outcome": "success", "dataset": "telnetsd.audit"},
        "message": "this is a test of telnetsd's notifications",
    }
