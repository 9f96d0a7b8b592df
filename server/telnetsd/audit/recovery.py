"""Where the chain continues, given what a writer finds when it returns to the log; pure.

The log may have been cut off, changed or left incomplete since this process last wrote. The seal and this process's
memory both say where it ended; the later end counts. Lines after that belong to the log only if a writer announced
them and wrote all of them. The part that a killed writer left was never acknowledged, and no other program may add
lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from telnetsd.audit.chain import EMPTY, ChainError, Head, Link, read_link
from telnetsd.audit.checkpoint import NO_SEAL, PublicKeys, Seal, read_seal
from telnetsd.events.reason import DamageReason, RecoveryReason


@dataclass(frozen=True, slots=True)
class LogFault:
    """A fault of the log that has to be recorded.

    Attributes:
        reason: What was found.
        message: The same, as a sentence for people.
        lines: How many lines it is about, if that is known.
    """

    reason: RecoveryReason | DamageReason
    message: str
    lines: int = 0


@dataclass(frozen=True, slots=True)
class ChainEnd:
    """Where the chain continues.

    Attributes:
        head: The last line that counts.
        is_signed: Whether that line is a checkpoint.
        is_overrun: Whether there are lines after it that do not count.
        findings: Any other findings.
    """

    head: Head
    is_signed: bool = False
    is_overrun: bool = False
    findings: tuple[LogFault, ...] = ()


def find_end(last_line: bytes, seal: bytes, remembered: Head, keys: PublicKeys, witnessed: Head = EMPTY) -> ChainEnd:
    """Find where the chain continues.

    Args:
        last_line: The last whole line of the file, without its newline; empty when there is none.
        seal: The content of the seal; empty when there is none.
        remembered: Where the chain ended when this process last wrote; EMPTY at first.
        keys: The keys that may have signed the seal.
        witnessed: A line that the log had, as remembered elsewhere; EMPTY if none is remembered. Other lines may
            follow it.
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
        # Without a seal and without memory, nothing can contradict the last line.
        return ChainEnd(link.head, is_signed=link.is_checkpoint, findings=tuple(findings))
    findings += _compare(link, known)
    return ChainEnd(known, is_overrun=link.head.sequence > known.sequence, findings=tuple(findings))


def _read_seal(seal: bytes, keys: PublicKeys) -> tuple[Seal, DamageReason | None]:
    """Return what the seal says, or NO_SEAL and the reason why it says nothing."""
    if not seal:
        return NO_SEAL, DamageReason.SEAL_MISSING
    try:
        return read_seal(seal, keys), None
    except ChainError:
        return NO_SEAL, DamageReason.SEAL_CHANGED


def _judge_seal(reason: DamageReason | None) -> Iterator[LogFault]:
    if reason is DamageReason.SEAL_MISSING:
        yield LogFault(reason, "the audit log had no seal: it is unknown whether lines were cut off before this one")
    elif reason is not None:
        message = "the seal is not one of this audit log: it is unknown whether lines were cut off before this one"
        yield LogFault(reason, message)


def _compare(link: Link, known: Head) -> Iterator[LogFault]:
    missing = known.sequence - link.head.sequence
    if missing > 0:
        lines = f"{missing} lines are missing, the last of them" if missing > 1 else "1 line is missing,"
        message = f"the audit log was truncated: {lines} line {known.sequence}"
        yield LogFault(DamageReason.LINES_MISSING, message, missing)
    elif missing == 0:
        yield _changed()


def _gone(witnessed: Head) -> LogFault:
    message = f"the audit log is missing: it had at least {witnessed.sequence} lines"
    return LogFault(DamageReason.LOG_MISSING, message, witnessed.sequence)


def _changed() -> LogFault:
    return LogFault(DamageReason.LAST_LINE_CHANGED, "the last line of the audit log was changed")
