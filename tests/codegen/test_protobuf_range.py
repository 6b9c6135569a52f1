"""Worker images pin old protobuf versions; the generated code and typed contracts run on all that are supported."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

from novita_codegen import generate

RANGE = {"5": "protobuf==5.29.*", "6": "protobuf==6.33.*", "7": "protobuf==7.*"}
# The first generator for Python 3.14 writes what needs protobuf 6.
WRITTEN_FOR = {"5", "6", "7"} if version("grpcio-tools").startswith("1.67.") else {"6", "7"}

PROTOCOL = """
import importlib, pathlib, sys
root = pathlib.Path(sys.path[-1])
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
assert len(modules) > 10
"""

TYPED = """
import json
from novita_sdk.typed import ContractError, find_adapter
from shop.v1.shop_pb2 import Draw
adapter = find_adapter(Draw)
value = {"prompt": "x", "seed": 2**60, "style": "STYLE_OIL", "sizes": {"a": 1.5}, "left": "l", "names": ["n"]}
value |= {"time": "2026-01-02T03:04:05Z", "child": {"prompt": "y"}}
message = adapter.parse(value)
assert adapter.parse(json.loads(adapter.dump(message))) == message
try:
    adapter.parse({"prompt": "", "nope": 1})
except ContractError as error:
    assert error.violations[0].field == "nope"
try:
    adapter.dump(Draw())
except ContractError as error:
    assert error.violations[0].rule == "string.min_len"
assert "prompt" in json.dumps(adapter.schema())
"""

SHOP = """\
syntax = "proto3";

package shop.v1;

import "buf/validate/validate.proto";
import "google/protobuf/timestamp.proto";

enum Style {
  STYLE_UNSPECIFIED = 0;
  STYLE_OIL = 1;
}

message Draw {
  string prompt = 1 [(buf.validate.field).string.min_len = 1];
  uint64 seed = 2;
  Style style = 3;
  map<string, double> sizes = 4;
  oneof side {
    string left = 5;
    string right = 6;
  }
  repeated string names = 7;
  google.protobuf.Timestamp time = 8;
  Draw child = 9;
  optional int32 maybe = 10;
}
"""


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fresh environment per protobuf version."""
    folder = tmp_path_factory.mktemp("environments")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python"]

    def make(item: tuple[str, str]) -> Path:
        python = folder / item[0] / "bin" / "python"
        packages = [item[1], "googleapis-common-protos", "protovalidate>=2", "msgspec"]
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / item[0]], check=True)
        subprocess.run([*pip, python, "install", "--quiet", "--no-compile", *packages], check=True)
        return python

    with ThreadPoolExecutor(len(RANGE)) as pool:
        return dict(zip(RANGE, pool.map(make, RANGE.items()), strict=True))


def run(python: Path, program: str, *roots: Path, implementation: str = "upb") -> str:
    """Runs a program with source roots on its path and warnings as errors; answers with its protobuf version."""
    code = f"import sys; sys.path += {[str(root) for root in roots]!r}\n{program}"
    code += "\nimport google.protobuf\nprint(google.protobuf.__version__)"
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation}
    command: list[str | Path] = [python, "-W", "error", "-c", code]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=python.parent)
    return outcome.stdout.split(".")[0] if outcome.returncode == 0 else outcome.stderr


@pytest.mark.venv
def test_the_protocol_runs_on_every_supported_protobuf_without_a_warning(
    environments: dict[str, Path], repository: Path
) -> None:
    found = {major: run(python, PROTOCOL, repository / "generated") for major, python in environments.items()}
    assert found == {major: major for major in RANGE}


@pytest.mark.venv
@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_typed_contracts_run_on_every_supported_protobuf_without_a_warning(
    environments: dict[str, Path],
    repository: Path,
    write_protos: Callable[[Mapping[str, str]], Path],
    tmp_path: Path,
    implementation: str,
) -> None:
    generate(write_protos({"shop/v1/shop.proto": SHOP}), tmp_path / "out")
    roots = (tmp_path / "out", repository, repository / "generated")
    found = {major: run(environments[major], TYPED, *roots, implementation=implementation) for major in WRITTEN_FOR}
    assert found == {major: major for major in WRITTEN_FOR}
