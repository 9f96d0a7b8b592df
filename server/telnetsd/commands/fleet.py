"""The command with which a machine joins a fleet; only a server of a fleet has it."""

import base64
import textwrap
from typing import Final

from telnetsd.commands.caller import Caller, Question
from telnetsd.commands.enrolment_service import EnrolmentError
from telnetsd.commands.table import command
from telnetsd.events.reason import EnrolmentReason
from telnetsd.identity.outcome import GUEST_ROLE

JOIN_COMMAND: Final = "fleet-join"
REQUEST_MAX_BYTES: Final = 8192
ANSWER_BEGIN: Final = "-----BEGIN TELNETSD FLEET ANSWER-----"
ANSWER_END: Final = "-----END TELNETSD FLEET ANSWER-----"
_LINE_CHARS: Final = 64


@command(JOIN_COMMAND, summary="join the fleet as a node, with an invitation", role=GUEST_ROLE)
async def join(caller: Caller, _: str) -> None:
    """Take the request of a machine, which has its code, and answer with what makes it a node."""

    async def take(text: str) -> None:
        nodes = caller.services.nodes
        if nodes is None:
            raise EnrolmentError(EnrolmentReason.CLOSED, "this server is in no fleet any more")
        answer = await nodes.admit(caller.applicant, text.encode())
        lines = textwrap.wrap(base64.b64encode(answer).decode(), _LINE_CHARS)
        caller.say("\n".join((ANSWER_BEGIN, *lines, ANSWER_END)))

    caller.ask(Question("request: ", REQUEST_MAX_BYTES, lambda _, __: True, take))
