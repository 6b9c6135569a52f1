"""What type checkers know of every part that users import: lines that must pass, lines that must not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from novita_codegen import generate

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".mypy_cache" / "typing"
"""Of the packages' types, which are the same in the next run."""
ROOTS = ("", "generated", "worker", "gateway", "testing")
"""Where the packages are, for checkers that don't look into editable installs."""

pytestmark = pytest.mark.sources
Errors = dict[str, dict[int, str]]
"""By file, such as `fails/client.py`, and line."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files, beside the code generated for them."""
    folder = tmp_path_factory.mktemp("typing")
    generate(HERE / "proto", folder / "generated")
    for path in HERE.glob("*/*.py"):
        copy = folder / path.relative_to(HERE)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    return folder


def mypy(folder: Path) -> Errors:
    files = sorted(
        path.relative_to(folder).as_posix() for name in ("passes", "fails") for path in folder.glob(f"{name}/*")
    )
    options = ["--strict", "--config-file=", f"--cache-dir={CACHE}", "--namespace-packages", "--explicit-package-bases"]
    roots = [folder, folder / "generated", *(HERE.parents[1] / root for root in ROOTS)]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, roots))}
    command = [sys.executable, "-m", "mypy", *options, *files]
    outcome = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    errors: Errors = {}
    for file, line, message in re.findall(r"^(\S+?):(\d+): error: (.*)", outcome.stdout, re.MULTILINE):
        errors.setdefault(file, {})[int(line)] = message
    return errors


def pyright(folder: Path) -> Errors:
    config = {
        "include": ["passes", "fails", "generated/shop/**/*_novita.py"],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
        "reportMissingModuleSource": False,
        "extraPaths": [str(folder / "generated"), *(str(HERE.parents[1] / root) for root in ROOTS)],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable]
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert outcome.returncode == 1, outcome.stdout + outcome.stderr
    errors: Errors = {}
    for found in json.loads(outcome.stdout)["generalDiagnostics"]:
        if found["severity"] == "error":
            file = Path(found["file"]).relative_to(folder.resolve()).as_posix()
            errors.setdefault(file, {})[found["range"]["start"]["line"] + 1] = found["message"]
    return errors


@pytest.mark.parametrize("check", [mypy, pyright])
def test_right_lines_pass_and_wrong_ones_do_not(folder: Path, check: Callable[[Path], Errors]) -> None:
    errors = check(folder)
    for path in sorted(HERE.glob("*/*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        found = errors.pop(path.relative_to(HERE).as_posix(), {})
        wrong = {number for number, line in enumerate(lines, start=1) if "# wrong: " in line}
        assert bool(wrong) == (path.parent.name == "fails")
        unexpected = {number: found[number] for number in found.keys() - wrong}
        missed = {number: lines[number - 1] for number in wrong - found.keys()}
        assert (unexpected, missed) == ({}, {}), path
    assert errors == {}
