"""The lowest versions that the base install allows are enough for it, and it needs no extra."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.repository import ROOT

BASE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
SOURCES = ("", "generated", "worker", "gateway", "testing", "codegen", "cli")

PROGRAM = """
import importlib, importlib.metadata, json, sys
from collections.abc import Iterator
from dataclasses import dataclass
import msgspec
import novita_gpus
for name in novita_gpus.__all__:
    getattr(novita_gpus, name)
from novita_protocol.v1.file_pb2 import File
from novita_testing import embedded

@dataclass
class Sum:
    numbers: list[int]

def untyped(job):
    novita_gpus.progress_update(job, {"step": 1})
    return {"got": job["input"]}

def total(request: Sum) -> Sum:
    return Sum(numbers=[sum(request.numbers)])

def stream(request: File) -> Iterator[File]:
    yield File(url=request.url, size=2**53)

with embedded(untyped) as endpoint:
    assert endpoint.run_sync({"seed": 2**70, "x": 1.0}) == {"got": {"seed": 2**70, "x": 1.0}}
assert msgspec.json.decode(b"19475042204537575366") == 19475042204537575366
with embedded(total) as endpoint:
    assert endpoint.run(Sum(numbers=[1, 2]), output_type=Sum).output(timeout=60) == Sum(numbers=[3])
with embedded(stream) as endpoint:
    (chunk,) = endpoint.run(File(url="u", sha256="0" * 64), output_type=File).stream(timeout=60)
    assert chunk.url == "u"
print(json.dumps({name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


def floor(requirement: Requirement) -> str:
    """`aiohttp==3.10` for `aiohttp>=3.10`."""
    (lowest,) = (rule.version for rule in requirement.specifier if rule.operator == ">=")
    return f"{requirement.name}=={lowest}"


@pytest.mark.venv
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the lowest versions have no builds for this Python")
def test_the_lowest_versions_run_typed_untyped_and_streaming_jobs(tmp_path: Path) -> None:
    requirements = [Requirement(text) for text in BASE]
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-compile",
    ]
    subprocess.run([*pip, "--only-binary", ":all:", *map(floor, requirements)], check=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / source) for source in SOURCES)}
    outcome = subprocess.run(
        [python, "-W", "error", "-c", PROGRAM, *(requirement.name for requirement in requirements)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    for requirement in requirements:
        assert f'"{requirement.name}": "{floor(requirement).partition("==")[2]}' in outcome.stdout
