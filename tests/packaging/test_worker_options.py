"""The keywords of a worker are written from its configuration."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT

pytestmark = pytest.mark.sources

WORKER = Path("worker", "novita_worker")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tool and what it reads, to be changed at will."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / WORKER).mkdir(parents=True)
    for name in ("_config.py", "_options.py"):
        shutil.copy(ROOT / WORKER / name, tmp_path / WORKER)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.worker_options", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_the_options_are_up_to_date(copy: Path) -> None:
    outcome = run(copy, "--check")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


def test_a_new_field_is_written_in_one_file(copy: Path) -> None:
    config, options = copy / WORKER / "_config.py", copy / WORKER / "_options.py"
    text = config.read_text(encoding="utf-8")
    assert "    prefetch: int = 0\n" in text
    config.write_text(text.replace("    prefetch: int = 0\n", "    prefetch: int | None = 0\n    colour: str = ''\n"))
    outcome = run(copy, "--check")
    assert outcome.returncode == 1
    assert "+    colour: str" in outcome.stdout
    assert outcome.stdout.endswith("Run `make generate`; changes go into _config.py.\n")
    assert run(copy).returncode == 0
    assert "    prefetch: int | None\n    colour: str\n" in options.read_text(encoding="utf-8")
