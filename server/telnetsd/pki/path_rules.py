"""The rules that a chain must satisfy to be a path (RFC 5280 section 6.1), other than its signatures.

The trust anchor's own constraints apply, like those of every other CA (RFC 5937).
"""

from datetime import datetime

from cryptography import x509

from telnetsd.events.reason import PathReason
from telnetsd.pki.certificate import extension_of, is_self_issued
from telnetsd.pki.chains import Chain
from telnetsd.pki.facts import PathProblem
from telnetsd.pki.keys import is_strong_key
from telnetsd.pki.name_constraints import NameNotPermittedError, UnsupportedConstraintError, read_constraints
from telnetsd.pki.path_reason import authority_problem, has_weak_signature, subject_of


def chain_problem(chain: Chain, at: datetime) -> PathProblem | None:
    """Return which CA of a chain may not vouch for the certificate that the chain begins with, and why.

    Args:
        chain: The target certificate first, the trust anchor last.
        at: Aware UTC time of validation.
    """
    for authority in reversed(chain[1:]):
        cause = authority_problem(authority, at) or _algorithm_problem(authority, is_anchor=authority is chain[-1])
        if cause:
            return _fault_of(authority, cause)
    return _length_problem(chain) or _names_problem(chain)


def _algorithm_problem(authority: x509.Certificate, *, is_anchor: bool) -> str:
    if not is_strong_key(authority.public_key()):
        return "its key is too weak, or of a kind that is not supported"
    # Validation does not rely on the signature of a trust anchor.
    if not is_anchor and has_weak_signature(authority):
        return "its signature is of a kind that is too weak, or not supported"
    return ""


def _length_problem(chain: Chain) -> PathProblem | None:
    """Check the path length limit of each CA (RFC 5280 section 6.1.4 (l), (m)); self-issued CAs do not count."""
    limit: int | None = None
    limiting = chain[-1]
    for authority in reversed(chain[1:]):
        if authority is not chain[-1] and limit is not None and not is_self_issued(authority):
            if limit == 0:
                return _fault_of(limiting, "its path length allows fewer CA certificates below it than there are")
            limit -= 1
        constraints = extension_of(authority, x509.BasicConstraints)
        own = constraints.path_length if constraints is not None else None
        if own is not None and (limit is None or own < limit):
            limit, limiting = own, authority
    return None


def _names_problem(chain: Chain) -> PathProblem | None:
    for place, authority in enumerate(chain[1:], 1):
        try:
            constraints = read_constraints(authority)
            if constraints is None:
                continue
            for below in chain[:place]:
                # RFC 5280 6.1.3 (b): a self-issued certificate is not checked, unless it is the final one.
                if below is chain[0] or not is_self_issued(below):
                    constraints.check(below)
        except (NameNotPermittedError, UnsupportedConstraintError) as error:
            return _fault_of(authority, str(error))
    return None


def _fault_of(certificate: x509.Certificate, cause: str) -> PathProblem:
    return PathProblem(PathReason.BAD_PATH, cause, subject_of(certificate))
