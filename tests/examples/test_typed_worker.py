"""The typed example as a whole: deployed, and ordered from with plain JSON and by its client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from novita_codegen import generate
from novita_gateway import Gateway
from novita_sdk import Client, Endpoint
from novita_sdk.errors import JobFailedError
from tests.support.repository import EXAMPLES
from tests.support.world import WorkerRunner

EXAMPLE = EXAMPLES / "typed-worker"


@pytest.fixture(scope="module", autouse=True)
def _worker(run_worker: WorkerRunner) -> Iterator[None]:
    with run_worker(EXAMPLE / "handler.py", "posters"):
        yield


@pytest.fixture
def posters(gateway: Gateway) -> Iterator[Endpoint]:
    with Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        yield client.endpoint("posters")


def test_it_takes_plain_json(posters: Endpoint) -> None:
    wish = {"title": "R&D", "width": 64, "palette": "PALETTE_OCEAN", "seed": 1125899906842624123}
    poster = posters.run(wish).output(timeout=60)
    assert poster["svg"].startswith("<svg ")
    assert "R&amp;D" in poster["svg"]
    assert poster["seed"] == "1125899906842624123"


def test_it_says_why_an_input_is_refused(posters: Endpoint) -> None:
    with pytest.raises(JobFailedError) as refused:
        posters.run({"title": "", "width": 9}).output(timeout=60)
    assert "title must be at least 1 characters" in str(refused.value)
    assert "width must be greater than or equal to 64" in str(refused.value)


def test_the_typed_client_gets_its_poster(gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path) -> None:
    environment = plain_environment | {"NOVITA_API_KEY": gateway.api_key, "NOVITA_ENDPOINT_BASE_URL": gateway.url}

    def order(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLE / "submit_task.py"), *words, "--endpoint", "posters"]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    outcome = order("Hello", "--palette", "ocean", "--seed", "7")
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.startswith("poster.svg: #")
    assert "Hello" in (tmp_path / "poster.svg").read_text(encoding="utf-8")
    refused = order("Hello", "--width", "9")
    assert refused.returncode != 0
    assert "width must be greater than or equal to 64" in refused.stderr
    assert "Nothing was sent" in refused.stderr


@pytest.mark.skipif(version("grpcio-tools") != "1.67.1", reason="another generator writes other files")
def test_the_generated_code_is_up_to_date() -> None:
    assert generate(EXAMPLE / "proto", EXAMPLE, check=True) == []
