"""`init`: what it writes works as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Cli

PARTS = {"handler.py", "Dockerfile", "requirements.txt", "submit_task.py", "README.md"}


@pytest.mark.parametrize("template", ["sleep", "comfyui", "typed"])
def test_writes_a_worker(inline: Cli, tmp_path: Path, template: str) -> None:
    done = inline("init", str(tmp_path / "mine"), "--template", template)
    assert (done.code, done.out) == (0, "")
    assert {path.name for path in (tmp_path / "mine").iterdir()} >= PARTS
    assert not list((tmp_path / "mine").rglob("__pycache__"))


@pytest.mark.parametrize(
    ("template", "wish", "member"), [("sleep", "seconds=0.1", "slept_seconds"), ("typed", "title=Hello", "svg")]
)
def test_what_it_writes_runs_here(cli: Cli, tmp_path: Path, template: str, wish: str, member: str) -> None:
    assert cli("init", "mine", "--template", template).code == 0
    done = cli("dev", "mine/handler.py", "-i", wish, "-i", "width=512", "-q")
    assert done.code == 0, done.err
    assert member in done.json


def test_an_existing_folder_is_left_alone(inline: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "handler.py").write_text("precious")
    done = inline("init", str(tmp_path / "mine"))
    assert done.code == 2
    assert "is there already" in done.err
    assert (tmp_path / "mine" / "handler.py").read_text() == "precious"


def test_an_empty_folder_is_filled(inline: Cli, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert inline("init", str(tmp_path / "mine")).code == 0
    assert (tmp_path / "mine" / "handler.py").is_file()
