"""The kinds of lines: one row each. A target is parsed once, when the configuration is loaded."""

from pathlib import Path
from typing import Final

from telnetsd.config.settings import LineSettings
from telnetsd.errors import OperatorError
from telnetsd.lines.kinds import program, rfc2217, serial, tcp, telnet, tls, unix
from telnetsd.lines.kinds.kind import LineKind, Target, TargetText

KINDS: Final[tuple[LineKind, ...]] = (
    telnet.KIND,
    tcp.KIND,
    tls.KIND,
    unix.KIND,
    serial.KIND,
    rfc2217.KIND,
    program.KIND,
)
_OF_SOME: Final = frozenset().union(*(kind.keys for kind in KINDS))
"""The keys of a line that only some kinds have."""


def parse_target(settings: LineSettings, root: Path) -> tuple[LineKind, Target]:
    """Parse the target of a line.

    Args:
        settings: The line's settings.
        root: The home folder, to which the files of a target are relative.
    Raises:
        OperatorError: The target is invalid; the message names the line.
    """
    try:
        return _parse(settings, root)
    except (ValueError, OperatorError) as error:
        raise OperatorError(f"wrong [[line]] {settings.name!r} in telnetsd.toml: {error}") from error


def _parse(settings: LineSettings, root: Path) -> tuple[LineKind, Target]:
    scheme, colon, rest = settings.target.partition(":")
    kind = next((one for one in KINDS if colon and one.name == scheme), None)
    if kind is None:
        forms = ", ".join(one.form for one in KINDS)
        raise ValueError(f"not a target: {settings.target!r}; write one of {forms}")
    for key in sorted(_OF_SOME - kind.keys):
        if getattr(settings, key):
            others = " or ".join(one.form for one in KINDS if key in one.keys)
            raise ValueError(f"{key} is only for targets like {others}")
    return kind, kind.parse(TargetText(rest, settings, root))
