"""Every code block of the README works as it stands, in the order in which a reader meets them.

What the first line of a block says after the language: `title` is the file that it is, `worker` and `endpoint` say
which worker must be running when it is run, `run=no` that it is only a file. A `json` or `text` block is what the block
before it printed.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from novita_gateway import Gateway
from tests.support.repository import ROOT
from tests.support.world import WorkerRunner

README = (ROOT / "README.md").read_text()
TIMEOUT = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    line: int
    language: str
    options: dict[str, str]
    content: str
    printed: str | None
    """What the next block says this one prints."""
    printed_language: str


def blocks() -> list[Block]:
    tokens = [token for token in MarkdownIt().parse(README) if token.type == "fence"]
    found = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        language, *options = shlex.split(token.info)
        if language in {"json", "text"}:
            continue
        result = following if following is not None and following.info in {"json", "text"} else None
        found.append(
            Block(
                line=token.map[0] + 1 if token.map else 0,
                language=language,
                options=dict(option.split("=", 1) for option in options),
                content=token.content,
                printed=result.content if result else None,
                printed_language=result.info if result else "",
            )
        )
    return found


def execute(block: Block, environment: dict[str, str], folder: Path) -> str:
    command = ["bash", "-euo", "pipefail", "-c", block.content]
    if block.language == "python":
        is_test = block.options["title"].startswith("test_")
        runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if is_test else []
        command = [sys.executable, *runner, block.options["title"]]
    outcome = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert outcome.returncode == 0, f"README.md:{block.line}\n{outcome.stdout}\n{outcome.stderr}"
    return outcome.stdout


def test_every_block_works_in_order(
    gateway: Gateway,
    run_worker: WorkerRunner,
    plain_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    environment = {
        **plain_environment,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{plain_environment['PATH']}",
        "NOVITA_API_KEY": gateway.api_key,
        "NOVITA_ENDPOINT_BASE_URL": gateway.url,
    }
    ran = 0
    for block in blocks():
        if "title" in block.options:
            file = tmp_path / block.options["title"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.content)
        if block.options.get("run") == "no" or block.language not in {"python", "sh"}:
            continue
        needed: AbstractContextManager[object] = nullcontext()
        if "worker" in block.options:
            needed = run_worker(tmp_path / block.options["worker"], block.options["endpoint"], cwd=tmp_path)
        with needed:
            printed = execute(block, environment, tmp_path)
        ran += 1
        if block.printed_language == "json":
            assert json.loads(printed) == json.loads(block.printed or ""), f"README.md:{block.line}"
        elif block.printed is not None:
            assert printed == block.printed, f"README.md:{block.line}"
    assert ran >= 4


@pytest.mark.sources
def test_ci_runs_the_commands_that_the_readme_opens_with() -> None:
    commands = [line.split("#")[0].strip() for line in blocks()[0].content.splitlines()]
    ci = (ROOT / ".ci" / "run").read_text().splitlines()
    assert commands == ["make demo", "make test"]
    assert [line for line in ci if line.startswith("make ")] == [*commands, "make test-ha"]


def test_no_block_of_code_goes_unnoticed() -> None:
    for block in blocks():
        assert block.language in {"python", "sh", "proto"}, f"README.md:{block.line}"
        if block.language != "sh":
            assert "title" in block.options, f"README.md:{block.line}"
