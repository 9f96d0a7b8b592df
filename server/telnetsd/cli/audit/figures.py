"""telnetsd audit stats."""

from typing import Final

import typer
from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from telnetsd.audit.reading.statistics import Figures, count
from telnetsd.cli.audit.filters import Asked, with_filters
from telnetsd.cli.audit.reading import read_events
from telnetsd.cli.common import ColorOption, HomeOption, JsonOption, console, home_of, print_json

_BAR_COLUMNS: Final = 40
_SHOWN_PER_CHART: Final = 20


@with_filters("session", "action", "reason", "outcome", "failed", "text")
def stats(
    context: typer.Context,
    asked: Asked,
    json: JsonOption = False,
    color: ColorOption = "auto",
    home: HomeOption = None,
) -> None:
    """Count logins by user, day and hour, refusals by reason, events by action; also by line and source."""
    figures = count(read_events(home_of(context, home), asked.selection), asked.zone)
    if json:
        print_json(figures)
    else:
        _print_figures(figures, console(color))


def _print_figures(figures: Figures, screen: Console) -> None:
    screen.print(Text(f"{figures.events} events, {figures.failures} of them refusals and failures"))
    _print_chart(screen, "logins by user", figures.logins_by_user)
    _print_chart(screen, "logins by day", figures.logins_by_day, len(figures.logins_by_day))
    _print_chart(screen, "refusals by reason", figures.refusals_by_reason)
    hours = figures.logins_by_hour if any(figures.logins_by_hour.values()) else {}
    _print_chart(screen, "logins by hour", hours, len(hours))
    _print_chart(screen, "events by action", figures.events_by_action)
    _print_chart(screen, "events by line", figures.events_by_line)
    _print_chart(screen, "events by source", figures.events_by_source)


def _print_chart(screen: Console, title: str, counts: dict[str, int], limit: int = _SHOWN_PER_CHART) -> None:
    """Print the first `limit` counts as bars, each as long as its share of the highest one."""
    screen.print()
    screen.print(Text(title, style="bold"))
    if not counts:
        screen.print("  none")
        return
    most = max(counts.values())
    table, bar_columns = Table.grid(padding=(0, 1)), min(_BAR_COLUMNS, screen.width // 2)
    for word, number in list(counts.items())[:limit]:
        table.add_row(Text(f"  {word}"), Text(f"{number:>7}"), Bar(most, 0, number, width=bar_columns))
    screen.print(table)
    if len(counts) > limit:
        screen.print(f"  and {len(counts) - limit} more; see: --json")
