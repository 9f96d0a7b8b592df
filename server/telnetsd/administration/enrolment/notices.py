"""What connected operators and applicants are told about enrolment requests."""

from collections.abc import Sequence

from telnetsd.state.records import EnrolmentRequest, RequestStatus


def words_for_operators(new: Sequence[EnrolmentRequest]) -> str:
    """Tell operators of new requests; of several, how many there are."""
    if len(new) > 1:
        return f"{len(new)} new enrolment requests; see: telnetsd request list"
    (one,) = new
    return f"{one.source} requests a certificate for {one.name}; see: telnetsd request show {one.id}"


def words_for_applicant(request: EnrolmentRequest) -> str:
    """Tell an applicant how a request was decided, and what to type.

    It is empty for a self-signed certificate that was accepted: its sessions are told that they were.
    """
    match request.status:
        case RequestStatus.APPROVED if request.certificate_sha256 is not None:
            return f"your request was granted; type: collect {request.id}"
        case RequestStatus.DENIED:
            return "your request was denied by the operator"
    return ""
