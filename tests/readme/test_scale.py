"""Every code block of docs/scale.md works as it stands, on a real server, in the order in which a reader meets them.

What stands after the language: `serves` runs until it is stopped, `title` is the file that it is, and `run=no` needs
what a test does not have.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from markdown_it import MarkdownIt
from markdown_it.token import Token
from ruamel.yaml import YAML

from novita_gateway import SQLiteStore
from novita_sdk.models import JobRequest, RunRequest
from tests.support.postgres_server import PostgresServer
from tests.support.repository import ROOT
from tests.support.stores import execute
from tests.support.waiting import DEADLINE, eventually

pytestmark = pytest.mark.sources

PAGE = (ROOT / "docs" / "scale.md").read_text()
LANGUAGES = {"sh", "sql", "yaml"}


def blocks() -> list[Token]:
    return [token for token in MarkdownIt().parse(PAGE) if token.type == "fence"]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="novita-postgres-"))
    folder.chmod(0o755)
    running = PostgresServer(folder / "server")
    try:
        running.create()
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder)


async def old_gateway(path: Path) -> str:
    """Leaves the file of a gateway that was stopped, and its keys; returns a job's id."""
    store = SQLiteStore(path)
    await store.open()
    status = await store.submit(RunRequest(endpoint="ep", request=JobRequest(input=b"1")))
    await store.close()
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    keys = {"API_KEY": "key", "WORKER_TOKEN": "token", "WEBHOOK_SECRET": secret}
    lines = "".join(f"export NOVITA_GATEWAY_{name}={value}\n" for name, value in keys.items())
    path.with_name(f"{path.name}-keys").write_text(lines)
    return status.id


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_block_is_of_a_kind_that_is_run_here() -> None:
    assert {token.info.split()[0] for token in blocks()} == LANGUAGES
    assert sum("run=no" in token.info for token in blocks()) == 3


def test_every_block_works_in_order(server: PostgresServer, plain_environment: dict[str, str], tmp_path: Path) -> None:
    job_id = asyncio.run(old_gateway(tmp_path / "novita-gateway.db"))
    parts = urlsplit(server.dsn)
    dsn = f"postgresql://jobs@{parts.hostname}:{parts.port}/jobs"
    environment = {
        **plain_environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NOVITA_GATEWAY_STORE": dsn,
    }
    is_served = False
    for token in blocks():
        language, *options = shlex.split(token.info)
        if "run=no" in options:
            continue
        if language == "sql":
            statements = [text for text in token.content.split(";") if text.strip()]
            asyncio.run(execute(server.dsn if "CREATE" in token.content else dsn, *statements))
        elif language == "yaml":
            YAML(typ="safe").load(token.content)
        elif "serves" in options:
            serve(token.content, environment, tmp_path, job_id)
            is_served = True
        else:
            command = ["bash", "-euo", "pipefail", "-c", token.content]
            done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    assert is_served


def serve(command: str, environment: dict[str, str], folder: Path, job_id: str) -> None:
    """Runs the gateway of a block, with a port and a directory of the test, and asks it for the job."""
    port = free_port()
    command = command.replace("--port 8000", f"--port {port}").replace("/srv/jobs-files", str(folder / "files"))
    command = command.replace("\nnovita-gpus", "\nexec novita-gpus")
    process = subprocess.Popen(["bash", "-euc", command], cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return requests.get(f"{url}/healthz", timeout=5).ok
        except requests.ConnectionError:
            return False

    try:
        eventually(is_up)
        answer = requests.get(f"{url}/v1/ep/status/{job_id}", headers={"Authorization": "Bearer key"}, timeout=DEADLINE)
        assert answer.json()["status"] == "PENDING"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0


def test_the_cluster_settings_are_those_that_lose_nothing() -> None:
    patroni, cluster = [YAML(typ="safe").load(token.content) for token in blocks() if token.info.startswith("yaml")]
    settings = patroni["bootstrap"]["dcs"]
    assert settings["synchronous_mode"] is True
    assert settings["synchronous_mode_strict"] is True
    assert cluster["spec"]["postgresql"]["synchronous"] == {"method": "any", "number": 1, "dataDurability": "required"}
    assert cluster["spec"]["instances"] >= 3
