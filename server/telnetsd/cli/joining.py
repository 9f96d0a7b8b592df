"""Asking a server of a fleet to admit this machine."""

import asyncio
import base64
import tempfile
from pathlib import Path

import msgspec

from telnetsd.client.connecting import Address, make_client_context, make_unverified_context
from telnetsd.client.enrolment import authorities_of
from telnetsd.client.requesting import ask
from telnetsd.commands.fleet import ANSWER_BEGIN, ANSWER_END, JOIN_COMMAND
from telnetsd.errors import OperatorError
from telnetsd.escaping import escape
from telnetsd.fleet.joining import JoinAnswer, JoinRequest
from telnetsd.own_client import OwnClient, RunRequest
from telnetsd.pki.authority import to_pem
from telnetsd.pki.certificate import certificate_sha256

_TEXT_MAX_CHARS = 300


def ask_to_join(where: Address, ca_sha256: str, request: JoinRequest) -> JoinAnswer:
    """Send a request to join, once the server is known to be the one that the invitation names.

    Raises:
        OperatorError: The server is another one, refuses, or cannot be reached.
    """
    unverified = make_unverified_context(OwnClient.RUN)
    shown = authorities_of(lambda wanted: asyncio.run(ask(where, unverified, wanted)), where)
    ca = next((one for one in shown if certificate_sha256(one) == ca_sha256), None)
    if ca is None:
        raise OperatorError(f"{where} has another CA than the one that the invitation names; check HOST and CODE")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ca.pem"
        path.write_bytes(to_pem(ca))
        context = make_client_context(path, None, OwnClient.RUN)
    wanted = RunRequest(JOIN_COMMAND, [msgspec.json.encode(request).decode()])
    text, over = asyncio.run(ask(where, context, wanted))
    if over.exit_status or not over.is_by_user:
        words = over.sentence or text.strip().rpartition("\n")[2] or over.reason
        raise OperatorError(f"{where} does not admit this machine: {escape(words, _TEXT_MAX_CHARS)}")
    return _parse(where, text)


def _parse(where: Address, text: str) -> JoinAnswer:
    _, _, rest = text.partition(ANSWER_BEGIN)
    content, end, _ = rest.partition(ANSWER_END)
    try:
        if end:
            return msgspec.json.decode(base64.b64decode(content), type=JoinAnswer)
    except (ValueError, msgspec.MsgspecError):
        pass
    raise OperatorError(f"{where} sent no answer that can be read; use the same version on all machines")
