"""Every command of every recorded dialogue is found, and nothing else."""

import pytest

from support.dialogues import NAMES, Dialogue, read_dialogue
from telnetsd.lines.typed.tracker import Command, Finding


@pytest.fixture(params=NAMES)
def dialogue(request: pytest.FixtureRequest) -> Dialogue:
    """Each dialogue."""
    return read_dialogue(request.param)


def _commands(found: list[Finding[str]]) -> list[str]:
    return [one.text for one in found if isinstance(one, Command)]


def test_there_are_at_least_thirty_dialogues() -> None:
    assert len(NAMES) >= 30


def test_each_echoed_command_of_a_dialogue_is_found_and_nothing_else(dialogue: Dialogue) -> None:
    found = dialogue.play()

    assert _commands(found) == dialogue.commands
    assert not [secret for secret in dialogue.secrets if secret in repr(found)]
    assert dialogue.play_lazily() == found


@pytest.mark.parametrize("name", ["bash_colours", "zsh_right_prompt", "fish_plain", "routeros", "full_screen_vt100"])
def test_the_same_is_found_when_the_output_comes_byte_by_byte(name: str) -> None:
    dialogue = read_dialogue(name)

    assert dialogue.play(lambda data: [bytes([byte]) for byte in data]) == dialogue.play()
