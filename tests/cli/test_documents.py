"""What the document says of the command line is so."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt

from novita_cli._app import app
from novita_cli._failures import ExitCode
from novita_gateway import Gateway
from tests.support.repository import DOCS
from tests.support.waiting import DEADLINE
from tests.support.world import WorkerRunner

DOCUMENT = DOCS / "cli.md"

pytestmark = pytest.mark.sources

WORKER = "import novita_gpus\nnovita_gpus.start({'handler': lambda job: job['input']})\n"


def test_every_command_and_exit_code_is_in_its_table() -> None:
    text = DOCUMENT.read_text()
    assert sorted(re.findall(r"^\| `([a-z-]+)", text, re.MULTILINE)) == app.list_commands(click.Context(app))
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)] == list(ExitCode)


def test_the_examples_run_in_the_order_of_the_document(
    environment: dict[str, str], gateway: Gateway, run_worker: WorkerRunner, tmp_path: Path
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    blocks = [token.content for token in MarkdownIt().parse(DOCUMENT.read_text()) if token.type == "fence"]
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    with run_worker(script, "my-endpoint"):
        done = subprocess.run(
            ["bash", "-ec", "\n".join(blocks)],
            env={**environment, "PATH": path},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=2 * DEADLINE,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "apple.json").read_text()) == {"prompt": "a red apple", "seed": 7}
    outputs = [json.loads(line)["output"] for line in (tmp_path / "outputs.jsonl").read_text().splitlines()]
    assert outputs == [{"prompt": f"{number} red apples"} for number in (1, 2, 3)]
    assert done.stdout.splitlines()[-1] == "COMPLETED"
