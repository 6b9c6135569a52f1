"""What the documents say of the client is so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

import novita_sdk
from novita_gateway import Gateway
from novita_sdk.errors import ERROR_TABLE, NovitaError
from tests.support.repository import DOCS
from tests.support.world import WorkerRunner


def blocks(name: str) -> list[str]:
    tokens = MarkdownIt().parse((DOCS / name).read_text())
    return [token.content for token in tokens if token.type == "fence" and token.info == "python"]


@pytest.mark.sources
def test_the_table_of_codes_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]*)\| `(\w+)` \|$", (DOCS / "errors.md").read_text(), re.MULTILINE)
    assert [(code, error) for code, _, error in rows] == [(row.code, row.error.__name__) for row in ERROR_TABLE]
    for row, (_, status, _) in zip(ERROR_TABLE, rows, strict=True):
        assert row.status is None or str(row.status) in status


@pytest.mark.sources
def test_every_class_is_described() -> None:
    text = (DOCS / "errors.md").read_text()
    for name in novita_sdk.__all__:
        value = getattr(novita_sdk, name)
        if isinstance(value, type) and issubclass(value, NovitaError) and value is not NovitaError:
            assert f"| `{name}` |" in text


WORKER = """
import novita_gpus

def handler(job):
    return {"echo": job["input"]}

novita_gpus.start({"handler": handler})
"""


@pytest.mark.sources
@pytest.mark.parametrize("name", ["client.md", "errors.md"])
def test_the_examples_run_in_the_order_of_the_document(
    name: str, gateway: Gateway, run_worker: WorkerRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOVITA_API_KEY", gateway.api_key)
    monkeypatch.setenv("NOVITA_ENDPOINT_BASE_URL", gateway.url)
    with run_worker(script, "my-endpoint"), novita_sdk.Client() as client:
        names: dict[str, Any] = {"endpoint": client.endpoint("my-endpoint")}
        try:
            for block in blocks(name):
                exec(compile(block, name, "exec"), names)
        finally:
            if "client" in names:
                names["client"].close()
