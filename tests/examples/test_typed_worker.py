"""The typed example as a whole: served by `dev`, and ordered from by its client."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from novita_codegen import generate
from novita_gateway import Gateway

EXAMPLE = Path(__file__).parents[2] / "examples" / "typed-worker"


@pytest.fixture
def dev(plain_environment: dict[str, str], tmp_path: Path):
    def run(value: Any) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "novita_cli", "dev", str(EXAMPLE / "handler.py"), "--input", json.dumps(value)]
        return subprocess.run(
            command, env=plain_environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    return run


def test_dev_runs_a_job_of_plain_json(dev) -> None:
    outcome = dev({"title": "R&D", "width": 64, "palette": "PALETTE_OCEAN", "seed": 1125899906842624123})
    assert outcome.returncode == 0, outcome.stderr
    poster = json.loads(outcome.stdout)
    assert poster["svg"].startswith("<svg ")
    assert "R&amp;D" in poster["svg"]
    assert poster["seed"] == "1125899906842624123"


def test_dev_shows_why_an_input_is_refused(dev) -> None:
    outcome = dev({"title": "", "width": 9})
    assert outcome.returncode == 1
    assert "title must be at least 1 characters" in outcome.stderr
    assert "width must be greater than or equal to 64" in outcome.stderr


def test_the_typed_client_gets_its_poster(
    gateway: Gateway, run_worker, plain_environment: dict[str, str], tmp_path: Path
) -> None:
    environment = plain_environment | {"NOVITA_API_KEY": gateway.api_key, "NOVITA_ENDPOINT_BASE_URL": gateway.url}

    def order(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(EXAMPLE / "submit_task.py"), *words, "--endpoint", "posters"]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )

    with run_worker(EXAMPLE / "handler.py", "posters"):
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
