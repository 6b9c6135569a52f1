"""The images of the examples: what they install is to be had from the index and the wheel of this checkout."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import EXAMPLES, ROOT

pytestmark = [pytest.mark.sources, pytest.mark.venv]

PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (28, 27, 26, 24, 17, 12, 5)]
PLATFORMS += [f"manylinux{year}_x86_64" for year in ("2014", "2010", "1")]

FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/Dockerfile"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `make wheel` builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command: list[str | Path] = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def installs(folder: Path, wheel: Path) -> list[str]:
    """What the Dockerfile's first `pip install` is given, with the wheel as NOVITA_GPUS and paths of this machine."""
    text = (folder / "Dockerfile").read_text()
    line = re.search(r"RUN pip install --no-cache-dir ([^\\\n]*)", text)
    assert line, "no pip install"
    words = shlex.split(line[1].replace("$NOVITA_GPUS", str(wheel)))
    return [str(folder / word) if (folder / word).is_file() else word for word in words]


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_requirements_of_an_image_are_to_be_had(folder: Path, wheel: Path, tmp_path: Path) -> None:
    words = installs(folder, wheel)
    assert str(wheel) in words
    if (folder / "comfyui.lock").is_file():
        # Gigabytes of torch: resolved for the image's Python, and not fetched. The lock leaves nothing to choose.
        python = re.search(r"FROM python:(\d+\.\d+)", (folder / "Dockerfile").read_text())
        assert python
        platforms = [f"--platform={name}" for name in PLATFORMS]
        only = ("--only-binary=:all:", f"--python-version={python[1]}", *platforms, f"--target={tmp_path}")
        pip("install", "--dry-run", "--ignore-installed", *only, *words)
        return
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python_of_the_image = tmp_path / "venv/bin/python"
    pip("--python", python_of_the_image, "install", "--quiet", *words)
    run: list[str | Path] = [python_of_the_image, "-c", "import handler; print(handler.__doc__ is not None)"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_lock_names_every_version() -> None:
    lines = (EXAMPLES / "comfyui-worker/comfyui.lock").read_text().splitlines()
    assert all("==" in line for line in lines if not line.startswith("#"))
