"""The memory by which a worker is replaced, and the tests' own looks at processes."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from novita_worker.process import memory
from tests.support import processes


class Usage(NamedTuple):
    ru_maxrss: int


@pytest.mark.parametrize(("platform", "most"), [("darwin", 300 * 2**20), ("freebsd14", 300 * 2**10)])
def test_the_most_memory_is_read_in_the_systems_unit(monkeypatch: pytest.MonkeyPatch, platform: str, most: int) -> None:
    monkeypatch.setattr(memory, "_STATM", Path("/nowhere/statm"))
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda _: Usage(most))
    assert memory.resident_mb() == 300


def test_without_proc_a_test_that_looks_there_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "PROC", tmp_path)
    for look in (processes.children, processes.is_alive, processes.wait_until_gone, processes.memory):
        with pytest.raises(pytest.skip.Exception, match="looks at processes in /proc"):
            look(1)
