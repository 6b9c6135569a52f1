"""What `novita-gpus init` writes: the commands of its README work as they stand."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("template", "codes"), [("sleep", [0]), ("typed", [0, 1, 0])])
def test_the_commands_of_a_readme_work(
    template: str, codes: list[int], tmp_path: Path, plain_environment: dict[str, str]
) -> None:
    def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "novita_cli", *shlex.split(command)[1:]]
        return subprocess.run(
            words, env=plain_environment, cwd=folder, capture_output=True, text=True, timeout=180, check=False
        )

    assert run(f"novita-gpus init mine --template {template}", tmp_path).returncode == 0
    folder = tmp_path / "mine"
    commands = re.findall("`(novita-gpus [^`]+)`", (folder / "README.md").read_text(encoding="utf-8"))
    outcomes = [run(command, folder) for command in commands]
    assert [outcome.returncode for outcome in outcomes] == codes, [outcome.stderr for outcome in outcomes]
