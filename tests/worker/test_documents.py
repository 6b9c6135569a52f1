"""What docs/worker.md says is so."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest
from markdown_it import MarkdownIt

from novita_worker import JobContext
from novita_worker._config import WorkerConfig
from novita_worker.testing import LocalWorker
from tests.support.reports import Unsent
from tests.support.repository import DOCS

pytestmark = pytest.mark.sources

TEXT = (DOCS / "worker.md").read_text()
EXAMPLES = [token.content for token in MarkdownIt().parse(TEXT) if token.type == "fence" and token.info == "python"]


def column(heading: str) -> set[str]:
    """The names in the first column of the table under a heading."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)", row)}


def test_the_table_of_keys_is_complete() -> None:
    assert column("start()") == {field.name for field in fields(WorkerConfig)}


def test_the_table_of_the_context_names_what_there_is() -> None:
    context = JobContext({"id": "j", "input": 1}, reports=Unsent())
    assert all(hasattr(context, name) for name in column("The context"))


def test_the_examples_run() -> None:
    names: dict[str, Any] = {"__name__": "example"}
    for example in EXAMPLES:
        exec(example, names)
    names["test_render"]()
    with LocalWorker(names["handler"]) as worker:
        assert worker.run({"seconds": 0.01}).output == {"slept": True}
