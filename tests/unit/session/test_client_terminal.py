"""What a client is asked when its session is connected to a line, and for how long that holds it up."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from telnetsd.session import client_terminal
from telnetsd.session.client_terminal import ClientTerminal
from telnetsd.telnet.protocol import NvtProtocol


@dataclass
class Agreement:
    """A client that answers at once, and has reported its size before."""

    window: tuple[int, int] = (132, 40)
    terminal_type: str = "XTERM"
    asked: int = 0

    def on_answered(self) -> None:
        """Replaced by the session."""

    on_terminal_known = on_answered

    def enter_line(self) -> None:
        self.asked += 1
        self.on_answered()


@dataclass
class Protocol:
    agreement: Agreement = field(default_factory=Agreement)


async def test_a_client_that_has_reported_its_size_is_not_waited_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_terminal, "ANSWERED_S", 3600.0)
    monkeypatch.setattr(client_terminal, "TERMINAL_KNOWN_S", 3600.0)
    protocol = Protocol()
    terminal = ClientTerminal(cast("NvtProtocol", protocol), is_bare=False)
    for _ in range(2):
        asked = await terminal.ask()
        assert (asked.columns, asked.rows, asked.kind) == (132, 40, "xterm")
    assert protocol.agreement.asked == 2
