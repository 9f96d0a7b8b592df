"""Where the chain goes on, from what is found when somebody comes back to the log; pure.

The log may have been cut off, changed or left unfinished since this process wrote last. Where it ended is known from
its last line, from the seal, and from this process's memory; the furthest of them counts.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from telnetsd.audit.chain import EMPTY, ChainError, Head, Link, read_link
from telnetsd.audit.checkpoint import PublicKeys, read_seal
from telnetsd.audit.reason import DamageReason, RecoveryReason


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be told of the log.

    Attributes:
        reason: What was found.
        message: The same for people.
        lines: How many lines it is about, where that is known.
    """

    reason: RecoveryReason | DamageReason
    message: str
    lines: int = 0


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """Where the chain goes on, whether its last line is a checkpoint, and what else was found."""

    head: Head
    is_signed: bool = False
    findings: tuple[Finding, ...] = ()


def find_end(last_line: bytes, seal: bytes, remembered: Head, keys: PublicKeys) -> ChainEnd:
    """Find where the chain goes on.

    Args:
        last_line: The last whole line of the file, without its newline; empty when there is none.
        seal: The content of the seal; empty when there is none.
        remembered: Where the chain ended when this process wrote last; EMPTY at first.
        keys: Those that may have signed the seal.
    Raises:
        ChainError: The last line is damaged, and nothing else says where the chain ended.
    """
    sealed, reason = _read_seal(seal, keys)
    known = max(remembered, sealed, key=lambda head: head.sequence)
    findings = list(_judge_seal(reason)) if last_line or remembered != EMPTY or seal else []
    if not last_line:
        return ChainEnd(known, findings=tuple(findings))
    try:
        link = read_link(last_line)
    except ChainError:
        if known == EMPTY:
            raise
        link = None
    findings += _compare(link, known, is_sealed=reason is None)
    if link is None or link.head.sequence < known.sequence or _is_another(link, known):
        return ChainEnd(known, findings=tuple(findings))
    return ChainEnd(link.head, is_signed=link.is_checkpoint, findings=tuple(findings))


def _read_seal(seal: bytes, keys: PublicKeys) -> tuple[Head, DamageReason | None]:
    """Return where the log ended as the seal says, or EMPTY and why it says nothing."""
    if not seal:
        return EMPTY, DamageReason.SEAL_MISSING
    try:
        return read_seal(seal, keys), None
    except ChainError:
        return EMPTY, DamageReason.SEAL_CHANGED


def _judge_seal(reason: DamageReason | None) -> Iterator[Finding]:
    if reason is DamageReason.SEAL_MISSING:
        yield Finding(reason, "the audit log had no seal: whether its end was cut off before this line is not known")
    elif reason is not None:
        message = "the audit log's seal is not one of this log: whether its end was cut off before this is not known"
        yield Finding(reason, message)


def _compare(link: Link | None, known: Head, *, is_sealed: bool) -> Iterator[Finding]:
    if link is None or _is_another(link, known):
        yield Finding(DamageReason.LAST_LINE_CHANGED, "the audit log's last line is not the one that was written")
        return
    missing, unsealed = known.sequence - link.head.sequence, link.head.sequence - known.sequence
    if missing > 0:
        message = f"the audit log was cut off: {missing} lines are missing, the last of them {known.sequence}"
        yield Finding(DamageReason.LINES_MISSING, message, missing)
    elif unsealed > 0 and is_sealed:
        message = (
            f"{unsealed} lines before this one were not sealed: a writer was killed, or somebody else wrote them"
        )
        yield Finding(RecoveryReason.UNSEALED_LINES, message, unsealed)


def _is_another(link: Link, known: Head) -> bool:
    """Tell whether a line stands where another one was."""
    return link.head.sequence == known.sequence and link.head != known
