"""The type checker holds a server's handlers to the protos: an rpc that the gateway does not serve can't pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from novita_codegen import generate

pytestmark = pytest.mark.sources

DRAIN = """service JobsService {
  rpc Drain(PurgeQueueRequest) returns (PurgeQueueResponse) {
    option (google.api.http) = {post: "/{endpoint}/drain"};
  }
"""

SERVER = """\
from novita_gateway._service import Service
from novita_gateway.http.context import RequestContext
from novita_gateway.http.routes import Routes
from novita_sdk.models import CancelRequest, CancelResponse, PurgeQueueRequest, PurgeQueueResponse


class Server(Service):
    async def drain(self, request: {request}, context: RequestContext, /) -> {response}:
        raise NotImplementedError


def routes(server: Server) -> Routes:
    return Routes(jobs=server, workers=server)
"""

SERVERS = {
    "right": ("PurgeQueueRequest", "PurgeQueueResponse"),
    "wrong_request": ("CancelRequest", "PurgeQueueResponse"),
    "wrong_response": ("PurgeQueueRequest", "CancelResponse"),
}
GATEWAY = "gateway/novita_gateway/_gateway.py"


def mypy(repository: Path, folder: Path) -> dict[str, str]:
    """What it says of the gateway and of the modules in the folder, by file, with the protocol generated there."""
    roots = [folder / "generated", *(repository / root for root in ("", "gateway"))]
    files = [repository / GATEWAY, *sorted(folder.glob("*.py"))]
    options = ["--strict", "--config-file=", "--namespace-packages", "--explicit-package-bases", "--no-pretty"]
    outcome = subprocess.run(
        [sys.executable, "-m", "mypy", *options, f"--cache-dir={repository / '.mypy_cache' / 'handlers'}", *files],
        cwd=folder,
        env={**os.environ, "MYPYPATH": os.pathsep.join(map(str, [folder, *roots]))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode in {0, 1}, outcome.stdout + outcome.stderr
    said: dict[str, str] = {}
    for file, text in re.findall(r"^(\S+?):\d+: (.*)$", outcome.stdout, re.MULTILINE):
        name = os.path.relpath(folder / file, repository) if file.endswith("_gateway.py") else file
        said[name] = said.get(name, "") + text + "\n"
    return said


def test_a_new_rpc_needs_a_handler_of_its_types(repository: Path, tmp_path: Path) -> None:
    shutil.copytree(repository / "proto", tmp_path / "proto")
    proto = tmp_path / "proto/novita_protocol/v1/jobs_service.proto"
    text = proto.read_text(encoding="utf-8")
    proto.write_text(text.replace("service JobsService {\n", DRAIN), encoding="utf-8")
    generate(tmp_path / "proto", tmp_path / "generated")
    for name, (request, response) in SERVERS.items():
        (tmp_path / f"{name}.py").write_text(SERVER.format(request=request, response=response), encoding="utf-8")

    said = mypy(repository, tmp_path)

    assert said.keys() == {GATEWAY, "wrong_request.py", "wrong_response.py"}, said
    assert [text.count("error:") for text in said.values()] == [1, 1, 1], said
    assert 'is missing following "Services" protocol member:\nnote:     drain\n' in said[GATEWAY]
    for name, file in (("CancelRequest", "wrong_request.py"), ("CancelResponse", "wrong_response.py")):
        (got,) = re.findall(r"note: +Got:\nnote: +(.*)\n", said[file])
        assert got.startswith("def drain(")
        assert name in got
