"""The workflows, forms and hooks: what they run is what `make check` and `.ci/run` run."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parents[2]
CHECK = ROOT / "tests" / "check.py"
HOOKS = ROOT / ".pre-commit-config.yaml"
WORKFLOWS = ROOT / ".github" / "workflows"
STEP = "workflows and forms"


class Hook(msgspec.Struct):
    id: str
    entry: str
    language: str
    pass_filenames: bool
    files: str


class Repo(msgspec.Struct):
    repo: str
    hooks: list[Hook]


class Hooks(msgspec.Struct):
    repos: list[Repo]


class Step(msgspec.Struct):
    name: str = ""
    uses: str = ""
    run: str = ""


class Matrix(msgspec.Struct):
    system: list[str]
    python: list[str]
    include: list[dict[str, str]]


class Strategy(msgspec.Struct):
    matrix: Matrix


class Job(msgspec.Struct):
    needs: list[str] = msgspec.field(default_factory=list)
    uses: str = ""
    permissions: dict[str, str] = msgspec.field(default_factory=dict)
    environment: str = ""
    strategy: Strategy | None = None
    steps: list[Step] = msgspec.field(default_factory=list)


class Workflow(msgspec.Struct):
    permissions: dict[str, str]
    concurrency: dict[str, object]
    jobs: dict[str, Job]


def load(path: Path) -> object:
    found: object = YAML(typ="safe").load(path)
    return found


def workflow(name: str) -> Workflow:
    return msgspec.convert(load(WORKFLOWS / name), Workflow)


def check(folder: Path, *steps: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "tests" / "check.py"), *steps]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with the workflows and forms, and what checks them."""
    shutil.copytree(ROOT / ".github", tmp_path / ".github")
    (tmp_path / "tests").mkdir()
    shutil.copy(CHECK, tmp_path / "tests")
    return tmp_path


def test_the_hooks_run_every_step_of_make_check_and_no_other() -> None:
    hooks = [hook for repo in msgspec.convert(load(HOOKS), Hooks).repos for hook in repo.hooks]
    asked: list[str] = []
    for hook in hooks:
        python, program, *steps = shlex.split(hook.entry)
        assert (python, program, hook.language) == (".venv/bin/python", "tests/check.py", "system")
        assert not hook.pass_filenames, "check.py would take the files for names of steps"
        assert steps, f"{hook.id} would run all of them"
        asked += steps
    assert sorted(asked) == sorted(step.name for step in runpy.run_path(str(CHECK))["STEPS"])


def test_every_hook_looks_at_files_that_there_are() -> None:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for repo in msgspec.convert(load(HOOKS), Hooks).repos:
        for hook in repo.hooks:
            assert re.search(hook.files, listing, re.MULTILINE), f"{hook.id}: nothing matches {hook.files}"


def test_every_file_for_github_is_held_to_its_schema(copy: Path) -> None:
    assert check(copy, STEP).returncode == 0
    for path in sorted((copy / ".github").rglob("*.yml")):
        text = path.read_text(encoding="utf-8")
        path.write_text("nobody-knows-this-key: true\n" + text, encoding="utf-8")
        outcome = check(copy, STEP)
        path.write_text(text, encoding="utf-8")
        assert outcome.returncode == 1, f"{path.name} is not checked"
        assert path.name in outcome.stdout
    assert not list((copy / ".github").rglob("*.yaml")), "the step looks at .yml alone"


def test_a_job_without_an_end_is_refused(copy: Path) -> None:
    path = copy / ".github" / "workflows" / "ci.yml"
    path.write_text(re.sub(" *timeout-minutes: .*\n", "", path.read_text(encoding="utf-8")), encoding="utf-8")
    assert "timeout-minutes" in check(copy, STEP).stdout


def test_ci_runs_one_script_on_every_supported_python() -> None:
    job = workflow("ci.yml").jobs["check"]
    assert [step.run for step in job.steps if step.run] == [".ci/run"]
    assert job.strategy is not None
    matrix = job.strategy.matrix
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = [name.rpartition(" ")[2] for name in project["classifiers"] if re.search(r":: 3\.\d+$", name)]
    assert matrix.python == versions
    assert [system.partition("-")[0] for system in matrix.system] == ["ubuntu"]
    assert [run["system"].partition("-")[0] for run in matrix.include] == ["macos"]


def test_actions_are_named_by_commit_and_nothing_has_more_rights_than_it_needs() -> None:
    for path in WORKFLOWS.iterdir():
        for line in path.read_text(encoding="utf-8").splitlines():
            if "uses: " in line and "uses: ./" not in line:
                assert re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), f"{path.name}: {line}"
        found = workflow(path.name)
        assert found.permissions == {"contents": "read"}
        assert found.concurrency
        rights = {name: job.permissions for name, job in found.jobs.items() if job.permissions}
        assert rights == ({"publish": {"id-token": "write"}} if path.name == "release.yml" else {})


def test_only_what_was_checked_is_published_and_no_code_of_ours_runs_beside_the_right_to() -> None:
    jobs = workflow("release.yml").jobs
    assert jobs["check"].uses == "./.github/workflows/ci.yml"
    assert jobs["publish"].needs == ["check", "build"]
    assert jobs["publish"].environment
    assert not [step.run for step in jobs["publish"].steps if step.run]


@pytest.mark.parametrize(
    ("tag", "heading", "complaint"),
    [
        ("v{}", "## [{}] - 2031-02-03", None),
        ("v{}0", "## [{}] - 2031-02-03", "is not v"),
        ("{}", "## [{}] - 2031-02-03", "is not v"),
        ("v{}", "## [{}] - unreleased", "has no line"),
        ("v{}", "## [9.9.9] - 2031-02-03", "has no line"),
    ],
)
def test_a_tag_is_refused_that_is_not_the_version_or_not_in_the_changelog(
    tmp_path: Path, tag: str, heading: str, complaint: str | None
) -> None:
    version = str(runpy.run_path(str(ROOT / "novita_sdk" / "_version.py"))["__version__"])
    (tmp_path / "novita_sdk").mkdir()
    shutil.copy(ROOT / "novita_sdk" / "_version.py", tmp_path / "novita_sdk")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading.format(version)}\n", encoding="utf-8")
    (step,) = [step for step in workflow("release.yml").jobs["build"].steps if step.name.startswith("The tag")]
    outcome = subprocess.run(
        ["bash", "-e", "-c", step.run],
        cwd=tmp_path,
        env={**os.environ, "GITHUB_REF_NAME": tag.format(version)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == (1 if complaint else 0), outcome.stderr
    assert (complaint or "") in outcome.stdout
