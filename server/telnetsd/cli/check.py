"""telnetsd check."""

import typer

from telnetsd.administration.examine import CheckResult, examine
from telnetsd.cli.common import HomeOption, JsonOption, home_of, print_json, print_table


def check(context: typer.Context, json: JsonOption = False, home: HomeOption = None) -> None:
    """Check configuration, keys and expiry dates."""
    findings = examine(home_of(context, home))
    if json:
        print_json(findings)
    else:
        print_table(["part", "verdict", "what"], [(one.part, one.verdict.value, one.message) for one in findings])
    if any(one.verdict is CheckResult.ERROR for one in findings):
        raise typer.Exit(1)
