"""Worker images pin old protobuf versions, and the generated code imports on all that are supported."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

RANGE = ["protobuf==5.29.*", "protobuf==6.33.*", "protobuf==7.*"]

PROGRAM = """
import importlib, pathlib, sys
root = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(root))
modules = sorted(path.relative_to(root).with_suffix("").as_posix().replace("/", ".") for path in root.rglob("*.py"))
for name in modules:
    if not name.endswith(("_grpc", "__init__")):
        importlib.import_module(name)
from novita_protocol.v1.job_pb2 import Job
from novita_protocol.v1.jobs_service_novita import JobsServiceMethods
job = Job(id="j1", input=b'{"seed":1125899906842624123}', extra={"webhook": b"null"}, attempt=2)
job.policy.ttl = 5
assert Job.FromString(job.SerializeToString()) == job
assert JobsServiceMethods.RUN.request(endpoint="e").endpoint == "e"
import google.protobuf
print(google.protobuf.__version__, len(modules))
"""


def try_on(requirement: str, folder: Path, generated: Path) -> str:
    """Uses the generated code in a new environment; answers with its protobuf version, or what went wrong."""
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "--quiet"]
    for command in (
        [sys.executable, "-m", "venv", "--without-pip", str(folder)],
        [*pip, requirement, "googleapis-common-protos"],
        [str(python), "-I", "-W", "error", "-c", PROGRAM, str(generated)],
    ):
        outcome = subprocess.run(command, capture_output=True, text=True, check=False)
        if outcome.returncode != 0:
            return f"{requirement}: {outcome.stderr}"
    return outcome.stdout


@pytest.mark.venv
def test_generated_code_runs_on_every_supported_protobuf_without_a_warning(repository: Path, tmp_path: Path) -> None:
    generated = repository / "generated"
    with ThreadPoolExecutor(len(RANGE)) as pool:
        found = list(pool.map(lambda r: try_on(r, tmp_path / r.partition("==")[2].strip(".*"), generated), RANGE))
    assert [version.split(".")[0] for version in found] == ["5", "6", "7"], found
