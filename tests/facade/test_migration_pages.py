"""The pages for those who come from elsewhere: their code works, and the table has each of runpod's names."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from novita_gpus._names import ABSENT
from tests.support.repository import ROOT

pytestmark = pytest.mark.sources

PAGES = sorted((ROOT / "docs" / "migration").glob("*.md"))
TABLE = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
RECORDED: dict[str, dict[str, object]] = json.loads((Path(__file__).parent / "runpod_api.json").read_text())
PROBE = "import novita_gpus as runpod; runpod.serverless.start({'handler': print})\n"


def rows() -> dict[str, str]:
    """What is said of each name of the table, by the name as it stands there."""
    found: dict[str, str] = {}
    for line in TABLE.partition("## runpod, name by name")[2].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            for name in re.findall(r"`([^`]+)`", cells[0]):
                assert name not in found, name
                found[name] = cells[1]
    del found["runpod"]  # the table's head
    return found


def test_the_table_has_every_name_and_no_other() -> None:
    recorded = {f"{module}.{name}".removeprefix("runpod.") for module, names in RECORDED.items() for name in names}
    assert rows().keys() == recorded


def test_the_table_says_none_of_what_is_not_here() -> None:
    for name, here in rows().items():
        dotted = f"novita_gpus.{name}"
        is_absent = dotted in ABSENT or dotted.rpartition(".")[0] in ABSENT
        assert here.startswith("none") == is_absent, name


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_a_page_s_code_works(page: Path, plain_environment: dict[str, str], tmp_path: Path) -> None:
    """Files are written, commands are run in their folder, and print what the block behind them says."""
    environment = {**plain_environment, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if page.stem == "from-runpod":
        (tmp_path / "my-worker").mkdir()
        (tmp_path / "my-worker" / "handler.py").write_text(PROBE.replace("novita_gpus as ", ""))
    fences = [token for token in MarkdownIt().parse(page.read_text(encoding="utf-8")) if token.type == "fence"]
    for token, following in zip(fences, [*fences[1:], None], strict=True):
        language, *options = shlex.split(token.info)
        if language == "python":
            compile(token.content, f"{page.name}", "exec")
            if options and options[0].startswith("title="):
                (tmp_path / options[0].removeprefix("title=")).write_text(token.content)
        elif language == "bash":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", token.content],
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            printed = following.content if following is not None and following.info in {"json", "text"} else ""
            assert done.stdout == printed
    if page.stem == "from-runpod":
        assert (tmp_path / "my-worker-novita" / "handler.py").read_text() == PROBE


def test_every_page_is_named_in_the_first_one() -> None:
    assert {page.name for page in PAGES} == set(re.findall(r"migration/([\w.-]+\.md)", TABLE))
