"""Where the chain goes on, from what is found when somebody comes back to the log; pure.

The log may have been cut off, changed or left unfinished since this process wrote last. Where it ended is known from
the seal, and from this process's memory; the furthest of them counts. Lines behind that are the log's only where a
writer had announced them, all of them: what a killed writer has left of them was never acknowledged, and nobody else
may add any.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from telnetsd.audit.chain import EMPTY, ChainError, Head, Link, read_link
from telnetsd.audit.checkpoint import NO_SEAL, PublicKeys, Seal, read_seal
from telnetsd.events.reason import DamageReason, RecoveryReason


@dataclass(frozen=True, slots=True)
class LogFault:
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
    """Where the chain goes on.

    Attributes:
        head: The last line that counts.
        is_signed: Whether that is a checkpoint.
        is_overrun: Whether there are lines behind it that do not count.
        findings: What else was found.
    """

    head: Head
    is_signed: bool = False
    is_overrun: bool = False
    findings: tuple[LogFault, ...] = ()


def find_end(last_line: bytes, seal: bytes, remembered: Head, keys: PublicKeys, witnessed: Head = EMPTY) -> ChainEnd:
    """Find where the chain goes on.

    Args:
        last_line: The last whole line of the file, without its newline; empty when there is none.
        seal: The content of the seal; empty when there is none.
        remembered: Where the chain ended when this process wrote last; EMPTY at first.
        keys: Those that may have signed the seal.
        witnessed: A line that the log had, as is remembered elsewhere; EMPTY where nothing is. There may be others
            behind it.
    Raises:
        ChainError: The last line is damaged, and nothing else says where the chain ended.
    """
    sealed, reason = _read_seal(seal, keys)
    known = max(remembered, sealed.head, key=lambda head: head.sequence)
    findings = list(_judge_seal(reason)) if last_line or remembered != EMPTY or seal else []
    if not last_line:
        if known.sequence < witnessed.sequence:
            findings.append(_gone(witnessed))
            known = witnessed
        return ChainEnd(known, findings=tuple(findings))
    try:
        link = read_link(last_line)
    except ChainError:
        if known == EMPTY:
            raise
        findings.append(_changed())
        return ChainEnd(known, findings=tuple(findings))
    if max(known.sequence, link.head.sequence) < witnessed.sequence:
        return ChainEnd(witnessed, findings=(*findings, *_compare(link, witnessed)))
    is_announced = link.head == sealed.next and sealed.next.sequence > known.sequence
    if link.head == known or is_announced or known == EMPTY:
        # Without a seal, and without memory, there is nothing that could say otherwise.
        return ChainEnd(link.head, is_signed=link.is_checkpoint, findings=tuple(findings))
    findings += _compare(link, known)
    return ChainEnd(known, is_overrun=link.head.sequence > known.sequence, findings=tuple(findings))


def _read_seal(seal: bytes, keys: PublicKeys) -> tuple[Seal, DamageReason | None]:
    """Return what the seal says, or NO_SEAL and why it says nothing."""
    if not seal:
        return NO_SEAL, DamageReason.SEAL_MISSING
    try:
        return read_seal(seal, keys), None
    except ChainError:
        return NO_SEAL, DamageReason.SEAL_CHANGED


def _judge_seal(reason: DamageReason | None) -> Iterator[LogFault]:
    if reason is DamageReason.SEAL_MISSING:
        yield LogFault(reason, "the audit log had no seal: whether its end was cut off before this line is not known")
    elif reason is not None:
        message = "the audit log's seal is not one of this log: whether its end was cut off before this is not known"
        yield LogFault(reason, message)


def _compare(link: Link, known: Head) -> Iterator[LogFault]:
    missing = known.sequence - link.head.sequence
    if missing > 0:
        message = f"the audit log was cut off: {missing} lines are missing, the last of them {known.sequence}"
        yield LogFault(DamageReason.LINES_MISSING, message, missing)
    elif missing == 0:
        yield _changed()


def _gone(witnessed: Head) -> LogFault:
    message = f"the audit log is missing: it had {witnessed.sequence} lines at least"
    return LogFault(DamageReason.LOG_MISSING, message, witnessed.sequence)


def _changed() -> LogFault:
    return LogFault(DamageReason.LAST_LINE_CHANGED, "the audit log's last line is not the one that was written")
