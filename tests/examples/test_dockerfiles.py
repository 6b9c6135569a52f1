"""The images' recipes of all examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DOCKERFILES = sorted((Path(__file__).parents[2] / "examples").glob("*/Dockerfile"))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    command = [hadolint, "--no-color", "--failure-threshold", "style", str(dockerfile)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_the_user_is_a_number_that_is_not_root(dockerfile: Path) -> None:
    (user,) = [line for line in dockerfile.read_text(encoding="utf-8").splitlines() if line.startswith("USER ")]
    assert user.removeprefix("USER ").isdecimal()
    assert int(user.removeprefix("USER ")) > 0
