"""The layers of the tests: what is asked for by layer is what runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.repository import ROOT

pytestmark = pytest.mark.sources


def collected(markers: str) -> list[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "--co", "-m", markers]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return sorted(line for line in done.stdout.splitlines() if "::" in line)


def test_no_test_of_the_core_is_lost_by_the_modules_that_are_not_imported_for_it() -> None:
    core = collected("core")
    assert len(core) > 800
    assert core == collected("(core)")  # which imports every module
