"""The fuzz targets: briefly in the suite, longer with --long, and longer still by hand with scripts/fuzz."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.machine import DEADLINE_S

CONNECTIONS = 1500
TARGETS = ("certificates", "crls", "upstream")
IN_THE_SUITE_S = 10
LONG_S = 120


def fuzz(target: str, tmp_path: Path, *options: str, seconds: float) -> str:
    """Run a target, and return the output of libFuzzer; the target must find nothing."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    command = [sys.executable, str(Path(__file__).with_name(f"fuzz_{target}.py")), str(corpus), *options]
    command += [f"-timeout={DEADLINE_S:.0f}", f"-artifact_prefix={tmp_path}/"]
    tests = str(Path(__file__).parents[1])
    # The target measures its own coverage; the other measurement would only slow it down.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "PYTHONPATH": tests},
        timeout=seconds + 5 * DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stderr


def test_fuzzing_finds_nothing_in_a_bounded_number_of_runs(tmp_path: Path) -> None:
    said = fuzz("connection", tmp_path, f"-runs={CONNECTIONS}", "-max_len=1024", seconds=0)
    assert f"Done {CONNECTIONS} runs" in said


@pytest.mark.parametrize("target", TARGETS)
def test_fuzzing_finds_nothing_in_some_seconds(target: str, tmp_path: Path) -> None:
    fuzz(target, tmp_path, f"-max_total_time={IN_THE_SUITE_S}", "-max_len=4096", seconds=IN_THE_SUITE_S)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("target", ["connection", *TARGETS])
def test_fuzzing_finds_nothing_in_minutes(target: str, tmp_path: Path) -> None:
    fuzz(target, tmp_path, f"-max_total_time={LONG_S}", "-max_len=16384", seconds=LONG_S)
