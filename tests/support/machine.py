"""How slow this machine is at present: measured once, when the tests start; deadlines are multiplied by it.

A deadline guards only against hanging. Speed is measured as CPU time of the server (`support.cpu`), or by
scripts/bench. So a deadline is generous, and grows with the time that a piece of work takes.
"""

import os
import shutil
import time
from hashlib import sha256

import pytest

VARIABLES = ("TELNETSD_TEST_SLOWNESS", "TELNETSD_TEST_CPU_SLOWNESS")
"""Environment variables that tell other processes of a test run what the first one has measured."""
REFERENCE_S = 0.12
"""How long the work below takes on the machine that the tests are usually run on, which has two cores."""
REFERENCE_CORES = 2
SAMPLES = 5


def _work_s() -> tuple[float, float]:
    """Do a fixed piece of work, and return how many seconds it took, as wall time and as CPU time."""
    begun, cpu_begun = time.perf_counter(), time.process_time()
    number = 0
    for step in range(1_000_000):
        number = (number * 31 + step) & 0xFFFFFFFF
    for _ in range(40):
        sha256(bytes(100_000)).digest()
    return time.perf_counter() - begun, time.process_time() - cpu_begun


def _measure() -> tuple[float, float]:
    """Return how slow the machine is, and how slow its processor is."""
    took, cpu = zip(*(_work_s() for _ in range(SAMPLES)), strict=True)
    cores = min(REFERENCE_CORES, len(os.sched_getaffinity(0)))
    return max(1.0, max(took) / REFERENCE_S * REFERENCE_CORES / cores), max(1.0, max(cpu) / REFERENCE_S)


def _measured() -> tuple[float, float]:
    known = [os.environ[one] for one in VARIABLES if one in os.environ]
    measured = (float(known[0]), float(known[1])) if len(known) == len(VARIABLES) else _measure()
    os.environ.update(zip(VARIABLES, map(str, measured), strict=True))
    return measured


SLOWNESS, CPU_SLOWNESS = _measured()
DEADLINE_S = 60.0 * SLOWNESS
"""How long a test waits for an expected event."""

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="there is no openssl here; scripts/test without a path installs it"
)
"""Skips a unit test that needs openssl where it is missing: unit tests run without any Debian package."""

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
"""What gives a process another clock, when it is loaded before everything else: of Debian's package faketime."""
