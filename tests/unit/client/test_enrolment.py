"""What the client makes of a server's answers while it enrolls: nothing has verified most of them."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from support.certificates import make_ca
from telnetsd.client.connecting import Address, LostError
from telnetsd.client.enrolment import (
    DecidedError,
    authorities_of,
    file_request,
    granted_in,
    make_key,
    require_own,
    wait_granted,
)
from telnetsd.client.profile import Pending
from telnetsd.errors import OperatorError
from telnetsd.own_client import RunRequest, SessionOver

Answer = tuple[str, SessionOver] | OperatorError
GRANTED = make_ca().certificate.public_bytes(Encoding.PEM).decode()
DONE = SessionOver("quit", is_by_user=True)


class Server:
    """Gives answers in turn."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)

    def ask(self, request: RunRequest) -> tuple[str, SessionOver]:
        answer = self._answers.pop(0)
        if isinstance(answer, OperatorError):
            raise answer
        return answer


def failed(reason: str, sentence: str = "") -> SessionOver:
    return SessionOver(reason, sentence, is_by_user=True, exit_status=1)


def test_a_wait_outlives_lost_connections_and_a_server_that_has_no_time() -> None:
    server = Server(
        LostError("cannot connect"), ("", failed("still-pending")), ("", failed("rate-limited")), (GRANTED, DONE)
    )
    waits: list[float] = []
    assert wait_granted(server.ask, Pending("abcd", "code"), waits.append) == GRANTED.encode()
    assert waits == [3.0, 4.5, 6.75]


def test_a_wait_ends_when_the_server_is_not_the_expected_one() -> None:
    with pytest.raises(OperatorError, match="not trusted"):
        wait_granted(Server(OperatorError("it is not trusted")).ask, Pending("abcd", "code"))


def test_what_a_server_says_about_a_refusal_is_escaped() -> None:
    server = Server(("", failed("enrolment-denied", "no\x1b]0;owned\x07\nerror: call me")))
    with pytest.raises(DecidedError) as caught:
        file_request(server.ask, "enroll nina csr", [])
    assert str(caught.value).isprintable()
    with pytest.raises(OperatorError) as other:
        granted_in("\x1b[2Jno certificate")
    assert str(other.value).isprintable()


def test_only_certificates_are_kept_of_what_a_server_shows() -> None:
    assert granted_in(f"granted:\n{GRANTED}-----BEGIN PRIVATE KEY-----\n") == GRANTED.encode()


def test_a_certificate_for_another_key_is_refused() -> None:
    with pytest.raises(OperatorError, match="a certificate for another key; nothing was stored"):
        require_own(GRANTED.encode(), make_key(None), None)


@pytest.mark.parametrize("shown", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_that_cannot_be_read_is_one_line(shown: str) -> None:
    with pytest.raises(OperatorError, match="showed no readable CA; name its file with --ca"):
        authorities_of(Server((shown, DONE)).ask, Address("host.example", 992))
