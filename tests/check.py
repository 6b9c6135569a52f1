"""Everything that is checked before the test suite runs. `make check` starts it; it needs no network.

`python tests/check.py [STEP…]` runs all steps, or the named ones. Each is one shell command, printed when it fails.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BINARIES = Path(sys.executable).parent
COMPATIBILITY = "proto compatibility"
GENERATED = "generated code up to date"
GENERATOR = "1.67.1"
"""Version of grpcio-tools that writes generated/; newer ones, the first for Python 3.14, write other files."""
SCRATCH = "d=$(mktemp -d) && trap 'rm -rf \"$d\"' EXIT"
DESCRIPTORS = "python -m novita_codegen descriptors"
GENERATE = "python -m novita_codegen generate"
SCHEMA = "check-jsonschema --builtin-schema"
FAILURE = """{output}
  To repeat it, in {root} with {binaries} on the PATH:
  {command}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    name: str
    command: str


# The slow ones come first, so that the quick ones fill the other core.
STEPS = (
    Step(name="types", command="mypy"),
    Step(name="import contracts", command="lint-imports --no-cache"),
    Step(
        name=COMPATIBILITY,
        command=f"{SCRATCH} && git archive HEAD proto | tar -xf - -C $d && {DESCRIPTORS} $d/proto --out $d/last.binpb"
        f" && {DESCRIPTORS} proto --out $d/now.binpb && buf breaking $d/now.binpb --against $d/last.binpb",
    ),
    Step(
        name="proto lint",
        command=f"{SCRATCH} && {DESCRIPTORS} proto --out $d/proto.binpb && buf lint $d/proto.binpb",
    ),
    Step(name="proto format", command="buf format --diff --exit-code"),
    Step(
        name=GENERATED,
        command=f"{GENERATE} proto --out generated --check"
        f" && {GENERATE} examples/typed-worker/proto --out examples/typed-worker --check",
    ),
    Step(name="twins up to date", command="python -m tools.twins --check && python -m tools.worker_options --check"),
    Step(
        name="workflows and forms",
        command=f"{SCHEMA} vendor.github-workflows .github/workflows/*.yml"
        f" && {SCHEMA} custom.github-workflows-require-timeout .github/workflows/*.yml"
        f" && {SCHEMA} vendor.github-issue-forms .github/ISSUE_TEMPLATE/{{bug_report,feature_request}}.yml"
        f" && {SCHEMA} vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml"
        f" && {SCHEMA} vendor.dependabot .github/dependabot.yml",
    ),
    Step(name="lint", command="ruff check --quiet ."),
    Step(name="format", command="ruff format --quiet --diff ."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    passed: bool
    output: str
    seconds: float


def run(step: Step) -> Outcome:
    begin = time.monotonic()
    outcome = subprocess.run(
        ["bash", "-o", "pipefail", "-c", step.command],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{BINARIES}{os.pathsep}{os.environ.get('PATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Outcome(passed=outcome.returncode == 0, output=outcome.stdout, seconds=time.monotonic() - begin)


def has_committed_protos() -> bool:
    command = ["git", "rev-parse", "--quiet", "--verify", "HEAD:proto"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def has_generator() -> bool:
    return sys.version_info < (3, 14) or importlib.metadata.version("grpcio-tools") == GENERATOR


def select(names: list[str]) -> list[Step]:
    """The steps to run; all of them where none is named."""
    unknown = set(names) - {step.name for step in STEPS}
    if unknown:
        sys.exit(f"no such step: {', '.join(sorted(unknown))}; there are: {', '.join(step.name for step in STEPS)}")
    steps = [step for step in STEPS if not names or step.name in names]
    reasons = {
        COMPATIBILITY: "" if has_committed_protos() else "there is no commit with protos to compare against",
        GENERATED: "" if has_generator() else f"grpcio-tools {GENERATOR} writes it, which has no build for this Python",
    }
    skipped = {step.name: reason for step in steps if (reason := reasons.get(step.name))}
    for name, reason in skipped.items():
        print(f"skipped  {name}: {reason}")
    return [step for step in steps if step.name not in skipped]


def main(names: list[str]) -> int:
    steps = select(names)
    begin = time.monotonic()
    failed = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        pending = {pool.submit(run, step): step for step in steps}
        for future in as_completed(pending):
            step, outcome = pending[future], future.result()
            print(f"{'ok' if outcome.passed else 'FAILED':8} {step.name} ({outcome.seconds:.1f} s)", flush=True)
            if not outcome.passed:
                failed.append(step.name)
                print(
                    FAILURE.format(output=outcome.output.rstrip(), root=ROOT, binaries=BINARIES, command=step.command)
                )
    if failed:
        print(f"{len(failed)} of {len(steps)} checks failed: {', '.join(failed)}")
        return 1
    print(f"all {len(steps)} checks passed in {time.monotonic() - begin:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
