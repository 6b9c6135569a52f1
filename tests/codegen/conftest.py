from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest

from tests.support.protos import NOTE, NOTES
from tests.support.protos import write_protos as write
from tests.support.repository import ROOT


@pytest.fixture
def write_protos(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Writes protos, text by path, and returns their root."""
    return partial(write, tmp_path / "proto")


@pytest.fixture
def notes(write_protos: Callable[[Mapping[str, str]], Path]) -> Path:
    return write_protos({"notes/v1/note_service.proto": NOTES, "notes/v1/note.proto": NOTE})


@pytest.fixture
def repository() -> Path:
    return ROOT
