"""Patterns of the operator: refused where they are of no use, and harmless whatever a peer sends."""

import time

import pytest

from telnetsd.errors import OperatorError
from telnetsd.lines.patterns import compile_pattern, compile_set, redact, require_specific


@pytest.mark.parametrize("pattern", ["", "a*", "^", "x?", ".", "(?s).+", "[^z]", r"\S|\s", "()"])
def test_a_pattern_that_matches_every_line_or_one_without_text_is_refused(pattern: str) -> None:
    with pytest.raises(OperatorError, match="let it require some text"):
        require_specific(pattern, "alert 'x'")


@pytest.mark.parametrize("pattern", ["panic", "^login:", "(?i)error|fail", r"\d+ errors", "^$x|down$"])
def test_a_pattern_that_requires_some_text_is_accepted(pattern: str) -> None:
    require_specific(pattern, "alert 'x'")


@pytest.mark.parametrize("pattern", ["(", "[a", r"(a)\1", "(?<=x)y", "a{1001}"])
def test_an_invalid_pattern_is_refused_with_its_place(pattern: str) -> None:
    with pytest.raises(OperatorError, match="alert 'x' is not a regular expression that RE2 accepts: ."):
        compile_pattern(pattern, "alert 'x'")


def test_a_pattern_that_would_take_exponential_time_elsewhere_takes_little() -> None:
    find = compile_set(["(a+)+$", "(a|aa)+b"], "alerts")
    begun = time.process_time()

    find("a" * 4000 + "c")

    assert time.process_time() - begun < 5


def test_redaction_leaves_out_groups_or_else_the_whole_match() -> None:
    assert (
        redact("user bob secret geheim end", [compile_pattern(r"secret (\S+)", "")])
        == "user bob secret [redacted] end"
    )
    assert redact("pin 1234 pin 5678", [compile_pattern(r"\d{4}", "")]) == "pin [redacted] pin [redacted]"


def test_overlapping_redactions_leave_nothing_of_the_secret() -> None:
    patterns = [compile_pattern("abcdef", ""), compile_pattern("defghi", ""), compile_pattern("c", "")]

    assert redact("xabcdefghix", patterns) == "x[redacted]x"


def test_wide_characters_before_a_secret_do_not_shift_the_redaction() -> None:
    assert redact("漢字ä secret geheim ü", [compile_pattern(r"secret (\S+)", "")]) == "漢字ä secret [redacted] ü"
