"""Where the chain ends, from the last line, the seal, the memory of the writer, and the witness."""

from support.audit import KEY, event, make_seal
from telnetsd.audit.chain import EMPTY, Head, make_draft, seal
from telnetsd.audit.checkpoint import Seal
from telnetsd.audit.recovery import find_end
from telnetsd.events.reason import DamageReason

FIRST, HEAD = seal(make_draft(event("one")), EMPTY)
SEAL = make_seal(KEY, HEAD)


def reasons_of(line: bytes, known: Head, witnessed: Head) -> list[DamageReason]:
    sealed = KEY.make_seal(Seal(known, known)) if known != EMPTY else SEAL
    found = find_end(line.rstrip(b"\n"), sealed, EMPTY, KEY.public, witnessed)
    return [finding.reason for finding in found.findings if isinstance(finding.reason, DamageReason)]


def test_a_log_and_seal_that_are_older_than_the_witness_knows_lack_lines() -> None:
    witnessed = Head(9, "0" * 64)
    assert reasons_of(FIRST, EMPTY, witnessed) == [DamageReason.LINES_MISSING]
    assert find_end(FIRST.rstrip(b"\n"), SEAL, EMPTY, KEY.public, witnessed).head == witnessed


def test_a_last_line_with_the_sealed_number_and_another_hash_was_changed() -> None:
    assert reasons_of(FIRST, Head(1, "0" * 64), EMPTY) == [DamageReason.LAST_LINE_CHANGED]
