"""The interface of a kind of line: how its target is written, parsed and opened.

Each kind has its own file, and a row in `KINDS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from telnetsd.config.address import parse_address
from telnetsd.config.settings import LineSettings
from telnetsd.lines.kinds.upstream import Upstream
from telnetsd.telnet.terminal import Terminal


class Target(Protocol):
    """The parsed target of a line; two equal targets lead to the same upstream in the same way."""

    async def open(self, terminal: Terminal, environment: Mapping[str, str]) -> Upstream:
        """Open the upstream.

        Args:
            terminal: The terminal of the session that will write.
            environment: Environment variables that identify that session to a program.
        Raises:
            OSError: The upstream cannot be reached.
            UpstreamError: It is not as configured.
        """


@dataclass(frozen=True, slots=True)
class TargetText:
    """A target as configured: the text after `scheme:`, the line's other keys, and the home folder."""

    rest: str
    settings: LineSettings
    root: Path


def _need_nothing() -> None:
    """Require nothing: most kinds work wherever telnetsd does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineKind:
    """One kind of line.

    Attributes:
        name: Its scheme, which is also its name in events and in `lines`.
        form: The form of a target.
        summary: A phrase that says what it leads to; for docs/lines.md.
        parse: Returns the target of a text; raises ValueError with the cause if the text is invalid.
        keys: The keys of a line that not every kind has, and that this kind accepts.
        has_com_port: Whether a client may control a serial port there (RFC 2217).
        starts_afresh: Whether each opening starts a program, so that no login of a previous user is left in it.
        loses_unread: Whether output that is not read in time is lost, since nothing holds the sender back.
        has_window: Whether the far side is told the size of the writer's window, and wraps at it.
        require: Raises OperatorError if something that it needs is not installed.
    """

    name: str
    form: str
    summary: str
    parse: Callable[[TargetText], Target]
    keys: frozenset[str] = frozenset()
    has_com_port: bool = False
    starts_afresh: bool = False
    loses_unread: bool = False
    has_window: bool = False
    require: Callable[[], None] = _need_nothing


def parse_host_port(text: TargetText) -> tuple[str, int]:
    """Return host and port of a target like //HOST:PORT.

    Raises:
        ValueError: The text is not such a target.
    """
    if not text.rest.startswith("//"):
        raise ValueError(f"no host in {text.settings.target!r}; write two slashes before it")
    host, port = parse_address(text.rest[2:])
    if not port:
        raise ValueError(f"no port to connect to in {text.rest[2:]!r}")
    return host, port
