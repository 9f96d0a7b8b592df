"""What a kind of line is: how its target is written, parsed and opened; each has a file, and a row in `KINDS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from telnetsd.config.address import parse_address
from telnetsd.config.settings import LineSettings
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.telnet.terminal import Terminal


class Target(Protocol):
    """Where a line leads, parsed; two that are equal lead to the same place in the same way."""

    async def open(self, terminal: Terminal, environment: Mapping[str, str]) -> Upstream:
        """Open it.

        Args:
            terminal: The terminal of the session that is going to write.
            environment: What a program is told of that session.
        Raises:
            OSError: It cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class TargetText:
    """A target as the configuration has it: what follows `scheme:`, the line's other keys, and the home folder."""

    rest: str
    settings: LineSettings
    root: Path


def _need_nothing() -> None:
    """Most kinds work wherever telnetsd does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineKind:
    """One kind of line.

    Attributes:
        name: Its scheme, and what events and `lines` call it.
        form: How a target is written.
        summary: What it leads to, as a phrase; for docs/lines.md.
        parse: Returns the target of a text; raises ValueError with what is wrong.
        keys: The keys of a line that only some kinds have.
        has_com_port: Whether a client may control a serial port there (RFC 2217).
        require: Raises OperatorError where something that it needs is not installed.
    """

    name: str
    form: str
    summary: str
    parse: Callable[[TargetText], Target]
    keys: frozenset[str] = frozenset()
    has_com_port: bool = False
    require: Callable[[], None] = _need_nothing


def parse_host_port(text: TargetText) -> tuple[str, int]:
    """Return host and port of a target like //HOST:PORT.

    Raises:
        ValueError: It is none.
    """
    if not text.rest.startswith("//"):
        raise ValueError(f"no host in {text.settings.target!r}; write two slashes before it")
    host, port = parse_address(text.rest[2:])
    if not port:
        raise ValueError(f"no port to connect to in {text.rest[2:]!r}")
    return host, port
