"""Which user names are allowed: from one small alphabet, and not easily misread as another user's name."""

from collections.abc import Iterable
from typing import Final

from telnetsd.errors import OperatorError
from telnetsd.identity.outcome import GUEST_ROLE, is_user_name

FILE_SUFFIXES: Final = (".pem", ".key", ".p12")
_LOOK_ALIKE: Final = (("rn", "m"), ("vv", "w"), ("0", "o"), ("1", "l"), ("5", "s"), (".", ""), ("-", ""), ("_", ""))


def check_user_name(name: str) -> None:
    """Refuse a text that cannot be a user name.

    Raises:
        OperatorError: It cannot be a user name.
    """
    if name == GUEST_ROLE:
        raise OperatorError(f"{name!r} cannot be a user name: it stands for clients without one; use another name")
    if not is_user_name(name):
        shown = f"{name[:32]}…" if len(name) > 32 else name
        raise OperatorError(
            f"{shown!a} cannot be a user name; use 1 to 32 of a-z, 0-9, dot, dash, underscore, starting with a letter"
        )
    if is_like_a_file(name):
        raise OperatorError(f"{name!a} cannot be a user name: it is like the name of a file; use another ending")


def is_like_a_file(name: str) -> bool:
    """Tell whether a user name is like a file of another user's: carl.pem, for a user named carl."""
    return name.endswith(FILE_SUFFIXES)


def look_alike(name: str, others: Iterable[str]) -> str | None:
    """Return one of the other names that is easily misread as this one (alice, a1ice), or None."""
    skeleton = _skeleton(name)
    return next((other for other in others if other != name and _skeleton(other) == skeleton), None)


def _skeleton(name: str) -> str:
    for written, read in _LOOK_ALIKE:
        name = name.replace(written, read)
    return name
