"""The images' recipes of all examples."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import metadata, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.repository import EXAMPLES

DOCKERFILES = sorted(EXAMPLES.glob("*/Dockerfile"))


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_hadolint_finds_nothing(dockerfile: Path) -> None:
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    command = [hadolint, "--no-color", "--failure-threshold", "style", str(dockerfile)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_what_is_installed_is_this_package_with_extras_that_it_has(dockerfile: Path) -> None:
    lines = dockerfile.with_name("requirements.txt").read_text(encoding="utf-8").splitlines()
    needed = [Requirement(line) for line in lines if not line.startswith("#")]
    (own,) = [requirement for requirement in needed if requirement.name == "novita-gpus"]
    assert own.extras <= set(metadata("novita-gpus").get_all("Provides-Extra") or [])
    assert version("novita-gpus") in own.specifier


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_what_is_copied_is_enough(dockerfile: Path, tmp_path: Path) -> None:
    text = dockerfile.read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE) for name in line.split()]
    for path in (path for name in copied for path in dockerfile.parent.glob(name)):
        copy = shutil.copytree if path.is_dir() else shutil.copy
        copy(path, tmp_path / path.name)
    subprocess.run([sys.executable, "-c", "import handler"], cwd=tmp_path, check=True)


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_the_user_is_a_number_that_is_not_root(dockerfile: Path) -> None:
    (user,) = [line for line in dockerfile.read_text(encoding="utf-8").splitlines() if line.startswith("USER ")]
    assert user.removeprefix("USER ").isdecimal()
    assert int(user.removeprefix("USER ")) > 0


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_process_1_is_one_that_buries_others(dockerfile: Path) -> None:
    text = dockerfile.read_text(encoding="utf-8")
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", text, re.MULTILINE)
    assert json.loads(entry)[:2] == ["tini", "--"]
    (installed,) = re.findall(r"install --yes --no-install-recommends((?:[^&]|\\\n)+)", text)
    assert " tini=" in installed
