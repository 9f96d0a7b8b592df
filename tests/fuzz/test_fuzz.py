"""The fuzz target, for as long as CI has; for longer by hand: scripts/fuzz."""

import os
import subprocess
import sys
from pathlib import Path

from support.machine import DEADLINE_S

RUNS = 1500


def test_nothing_is_found_in_a_bounded_number_of_runs(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("fuzz_connection.py")), str(corpus)]
    command += [f"-runs={RUNS}", "-max_len=1024", f"-timeout={DEADLINE_S:.0f}", f"-artifact_prefix={tmp_path}/"]
    tests = str(Path(__file__).parents[1])
    # It has its own measure of coverage, which the other one would only slow down.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**environment, "PYTHONPATH": tests},
        timeout=2 * DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Done {RUNS} runs" in done.stderr
