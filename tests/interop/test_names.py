"""The names that are held against ours are those of the published package."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.repository import ROOT

pytestmark = pytest.mark.venv

PEERS = Path(__file__).parent / "peers"


def test_the_recorded_names_are_those_of_the_published_package(pythons: dict[str, Path], tmp_path: Path) -> None:
    printed = subprocess.run(
        [pythons["runpod"], PEERS / "names.py"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    recorded = (ROOT / "tests" / "facade" / "runpod_api.json").read_text()
    assert json.loads(printed.stdout) == json.loads(recorded)
