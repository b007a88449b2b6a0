"""A run that is killed again and again, anywhere, loses nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.conftest import REPOSITORY


@pytest.mark.skipif(os.name != "posix", reason="kill -9")
@pytest.mark.parametrize("executor, kills", [("inline", 30), ("pool", 4)])
def test_a_run_killed_again_and_again_ends_with_the_same_bytes(executor: str, kills: int) -> None:
    """Killed with -9 at random moments, a study ends with the weights, predictions and report of an undisturbed one,
    byte for byte."""
    command = [sys.executable, "benchmarks/kills.py", "--kills", str(kills), "--executor", executor, "--seed", "3"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=290, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    row = done.stdout.splitlines()[-1]
    assert f"| {executor} | {kills} |" in row and "train" in row and row.endswith("| yes |")
