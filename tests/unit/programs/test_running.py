"""Programs below their reaper: none of their processes is left, whatever they do and however they are started."""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator

import pytest

from support.processes import is_running
from telnetsd.programs.running import ProgramStart, SupervisedProgram, start_program

DESCRIPTORS = 1100
BUSY = "while :; do /bin/true; done & while :; do /bin/true; done & exec /bin/sleep {}"
"""Starts processes as fast as it can, so that some of them end during the search for them."""


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Open more descriptors than select() can handle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(DESCRIPTORS)]
    yield
    for one in held:
        os.close(one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def started(*words: str) -> SupervisedProgram:
    nothing, start = subprocess.DEVNULL, ProgramStart(words, {"PATH": os.environ["PATH"]})
    program = start_program(start, stdin=nothing, stdout=nothing, stderr=nothing)
    await program.require_started()
    return program


async def test_a_program_ends_with_its_reaper_when_many_descriptors_are_open(many_descriptors: None) -> None:
    del many_descriptors
    program = await started("/bin/sleep", "7654.25")
    assert is_running("sleep 7654.25")
    await program.end(signal.SIGTERM)
    assert not is_running("sleep 7654.25")
    assert await program.wait() == -signal.SIGTERM


async def test_a_program_that_keeps_starting_others_is_ended_with_them() -> None:
    for _ in range(20):
        program = await started("/bin/sh", "-c", BUSY.format("7654.5"))
        await program.end(signal.SIGHUP)
        assert not is_running("sleep 7654.5")
        assert not is_running("sh -c while :")


async def test_the_exit_status_of_a_program_is_returned() -> None:
    program = await started("/bin/sh", "-c", "exit 3")
    assert await program.wait() == 3
    await program.end(signal.SIGTERM)


async def test_a_missing_program_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        await started("/no/such/program")
