"""The bar of a batch: on a terminal, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.terminal import run_on_terminal

PROGRAM = """
import sys, novita_sdk
with novita_sdk.Client(api_key="k", base_url=sys.argv[1]) as client:
    options = {} if sys.argv[2] == "None" else {"progress": sys.argv[2] == "True"}
    for output in client.endpoint("x").map([1, 2, 3], **options):
        print(output)
"""


@pytest.fixture
def url(scripted: ScriptedGateway) -> str:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script("status", Answer(body={"id": "j", "status": "COMPLETED", "output": "out"}))
    return str(scripted.url)


@pytest.mark.parametrize(("wanted", "is_shown"), [("None", True), ("True", True), ("False", False)])
def test_it_is_shown_on_a_terminal(url: str, wanted: str, is_shown: bool) -> None:
    command = [sys.executable, "-c", PROGRAM, url, wanted]
    code, out, shown = run_on_terminal(command, {**os.environ, "TERM": "xterm", "COLUMNS": "100"})
    assert (code, out.split()) == (0, ["out"] * 3)
    assert ("3/3" in shown) == is_shown


@pytest.mark.parametrize("wanted", ["None", "False"])
def test_it_is_not_shown_where_nobody_looks(url: str, wanted: str) -> None:
    command = [sys.executable, "-c", PROGRAM, url, wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["out"] * 3, "")


def test_no_stderr_at_all_is_no_terminal(url: str) -> None:
    command = ["sh", "-c", '"$@" 2>&-', "sh", sys.executable, "-c", PROGRAM, url, "None"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["out"] * 3
