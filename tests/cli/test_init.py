"""`init`: what it writes. That it works as it is, the tests of the examples show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Cli

PARTS = {"handler.py", "Dockerfile", "requirements.txt", "submit_task.py", "README.md"}


@pytest.mark.parametrize("template", ["sleep", "comfyui", "typed"])
def test_writes_a_worker(inline: Cli, tmp_path: Path, template: str) -> None:
    done = inline("init", str(tmp_path / "mine"), "--template", template)
    assert (done.code, done.out) == (0, "")
    assert {path.name for path in (tmp_path / "mine").iterdir()} >= PARTS
    assert not list((tmp_path / "mine").rglob("__pycache__"))


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
