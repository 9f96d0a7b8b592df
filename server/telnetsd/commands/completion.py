"""The words that a user may mean: commands, and what the arguments of a command may be."""

from collections.abc import Sequence

from telnetsd.commands.caller import Caller
from telnetsd.commands.table import CommandError


async def completions(caller: Caller, before: str) -> Sequence[str]:
    """Return the words that the last word of a line may become, if the caller may use them.

    Args:
        caller: The session.
        before: The line up to the cursor.
    """
    name, space, _ = before.lstrip().partition(" ")
    if not space:
        return [one.name for one in caller.services.table.permitted(caller.identity)]
    try:
        found = caller.services.table.authorise(name, caller.identity)
    except CommandError:
        return ()
    return await found.completes(caller)
