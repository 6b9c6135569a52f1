"""What `make check` says of a step that fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[1] / "check.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that is checked, with nothing wrong in it."""
    (tmp_path / "tests").mkdir()
    shutil.copy(CHECK, tmp_path / "tests" / "check.py")
    (tmp_path / "pyproject.toml").write_text('[tool.ruff]\nextend-exclude = ["tests"]\n', encoding="utf-8")
    (tmp_path / "fine.py").write_text("x = 1\n", encoding="utf-8")
    return tmp_path


def check(project: Path, *steps: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project / "tests" / "check.py"), *steps]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_a_failed_step_says_which_why_and_how_to_repeat_it(project: Path) -> None:
    assert check(project, "lint", "format").returncode == 0
    (project / "wrong.py").write_text("import os\n", encoding="utf-8")
    outcome = check(project, "lint", "format")
    assert outcome.returncode == 1
    assert "FAILED   lint" in outcome.stdout
    assert "ok       format" in outcome.stdout
    assert "`os` imported but unused" in outcome.stdout
    assert "ruff check --quiet ." in outcome.stdout
    assert outcome.stdout.endswith("1 of 2 checks failed: lint\n")


def test_a_step_that_cant_run_here_says_why_it_is_left_out(project: Path) -> None:
    outcome = check(project, "proto compatibility", "lint")
    assert outcome.returncode == 0
    assert "skipped  proto compatibility: there is no commit with protos to compare against" in outcome.stdout


def test_an_unknown_step_names_those_that_there_are(project: Path) -> None:
    outcome = check(project, "tipes")
    assert outcome.returncode == 1
    assert "no such step: tipes; there are: types, " in outcome.stderr
