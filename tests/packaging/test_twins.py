"""The sync client is written from the async one: a hand edit, a word that is left and a rule without use are told."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parents[2]
TOOL = Path("tools", "twins.py")
CLIENT = Path("novita_sdk", "client")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The tool and what it reads, to be changed at will."""
    shutil.copytree(ROOT / CLIENT, tmp_path / CLIENT, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / TOOL.parent, tmp_path / TOOL.parent, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.twins", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_twins_are_up_to_date(copy: Path) -> None:
    outcome = run(copy, "--check")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


@pytest.mark.parametrize("name", ["client.py", "endpoint.py", "job.py", "typed_job.py"])
def test_a_hand_edit_is_seen_and_undone(copy: Path, name: str) -> None:
    path = copy / CLIENT / name
    text = path.read_text(encoding="utf-8")
    path.write_text(f"{text}\nEXTRA = 1\n", encoding="utf-8")
    outcome = run(copy, "--check")
    assert outcome.returncode == 1
    assert "-EXTRA = 1" in outcome.stdout
    assert outcome.stdout.endswith("Run `make generate`; changes go into the async files.\n")
    assert run(copy).returncode == 0
    assert path.read_text(encoding="utf-8") == text


def test_a_new_method_is_written_in_one_file(copy: Path) -> None:
    source, twin = copy / CLIENT / "async_job.py", copy / CLIENT / "job.py"
    method = "    async def is_over(self) -> bool:\n        return (await self.info()).is_final\n"
    source.write_text(f"{source.read_text(encoding='utf-8')}\n{method}", encoding="utf-8")
    assert run(copy, "--check").returncode == 1
    assert run(copy).returncode == 0
    assert "    def is_over(self) -> bool:" in twin.read_text(encoding="utf-8")
    assert "return self.info().is_final" in twin.read_text(encoding="utf-8")


def test_a_word_that_no_rule_turns_is_an_error(copy: Path) -> None:
    change(copy / CLIENT / "async_job.py", "A submitted job", "A submitted job of asyncio")
    outcome = run(copy)
    assert outcome.returncode == 1
    assert "The twin of async_job.py still says" in outcome.stdout


def test_a_rule_that_is_never_used_is_an_error(copy: Path) -> None:
    change(copy / TOOL, "RULES: Final = (\n", 'RULES: Final = (\n    (r"nothing like it", ""),\n')
    outcome = run(copy, "--check")
    assert outcome.returncode == 1
    assert outcome.stdout == "These rules in tools/twins.py are never used: nothing like it\n"
