"""Admitting machines to the fleet in a running server: each request in a thread, one after another."""

import asyncio
import logging
from typing import Final

import msgspec

from telnetsd.administration.authority.authorities import AskPassphrase
from telnetsd.commands.enrolment_service import Applicant, EnrolmentError
from telnetsd.config.settings import FleetSettings
from telnetsd.errors import OperatorError
from telnetsd.events.reason import EnrolmentReason
from telnetsd.files.home import Home
from telnetsd.fleet.joining import AdmissionError, JoinRequest, admit

_WAITING_MAX: Final = 4

logger = logging.getLogger(__name__)


class AdmissionWorker:
    """See `commands.enrolment_service.NodeAdmission`.

    Args:
        home: The installation.
        fleet: Its configuration.
        ask: Returns the passphrase of the CA's key.
    """

    def __init__(self, home: Home, fleet: FleetSettings, ask: AskPassphrase) -> None:
        self._home = home
        self._fleet = fleet
        self._ask = ask
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def admit(self, applicant: Applicant, request: bytes) -> bytes:
        """See NodeAdmission."""
        try:
            wanted = msgspec.json.decode(request, type=JoinRequest)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise EnrolmentError(
                EnrolmentReason.WRONG_CODE, "that is no request to join; use: telnetsd fleet join"
            ) from error
        if self._waiting >= _WAITING_MAX:
            raise EnrolmentError(EnrolmentReason.BUSY, "too many machines want to join; try again in a moment")
        self._waiting += 1
        try:
            async with self._turn:
                answer = await asyncio.to_thread(admit, self._home, self._fleet, wanted, applicant.fields, self._ask)
        except AdmissionError as error:
            raise EnrolmentError(EnrolmentReason.WRONG_CODE, str(error)) from error
        except OperatorError as error:
            logger.warning("a machine with an invitation was not admitted: %s", error)
            raise EnrolmentError(EnrolmentReason.BUSY, f"not admitted: {error}") from error
        finally:
            self._waiting -= 1
        return msgspec.json.encode(answer)
