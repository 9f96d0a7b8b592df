"""What a client is asked when its session is connected to a line, and for how long that holds it up."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from telnetsd.session import client_terminal
from telnetsd.session.client_terminal import ClientTerminal
from telnetsd.telnet.protocol import NvtProtocol


@dataclass
class Agreement:
    """A client that has told its size at the beginning, and describes its terminal when it is first asked."""

    window: tuple[int, int] = (132, 40)
    terminal_type: str = ""
    is_terminal_known: bool = False
    asked: int = 0

    def on_answered(self) -> None:
        """Replaced by the session."""

    on_terminal_known = on_answered

    def enter_line(self) -> None:
        self.asked += 1
        self.on_answered()
        if self.asked == 1:
            asyncio.get_running_loop().call_soon(self.describe)

    def describe(self) -> None:
        self.terminal_type, self.is_terminal_known = "XTERM", True
        self.on_terminal_known()


@dataclass
class Protocol:
    agreement: Agreement = field(default_factory=Agreement)


async def test_a_client_is_waited_for_until_it_has_described_its_terminal_and_never_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_terminal, "ANSWERED_S", 3600.0)
    monkeypatch.setattr(client_terminal, "TERMINAL_KNOWN_S", 3600.0)
    protocol = Protocol()
    for _ in range(2):
        asked = await ClientTerminal(cast("NvtProtocol", protocol), is_bare=False).ask()
        assert (asked.columns, asked.rows, asked.kind) == (132, 40, "xterm")
    assert protocol.agreement.asked == 2
