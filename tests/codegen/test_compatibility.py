"""The checks that guard the protos find what they are for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from novita_codegen import descriptors

BUF = Path(sys.executable).parent / "buf"


@pytest.fixture
def changed(repository: Path, tmp_path: Path) -> Path:
    """A copy of the protos to change."""
    shutil.copytree(repository / "proto", tmp_path / "proto")
    return tmp_path / "proto"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def buf(repository: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BUF, *arguments], cwd=repository, capture_output=True, text=True, check=False)


def compare(repository: Path, changed: Path) -> subprocess.CompletedProcess[str]:
    now, last = changed.parent / "now.binpb", changed.parent / "last.binpb"
    now.write_bytes(descriptors(changed))
    last.write_bytes(descriptors(repository / "proto"))
    return buf(repository, "breaking", now, "--against", last)


def test_a_removed_field_is_a_breaking_change(repository: Path, changed: Path) -> None:
    replace(changed / "novita_protocol/v1/file.proto", "  string sha256 = 5;\n", "")
    outcome = compare(repository, changed)
    assert outcome.returncode == 100
    assert '"5"' in outcome.stdout
    assert "novita_protocol/v1/file.proto" in outcome.stdout


def test_a_field_of_another_type_is_a_breaking_change(repository: Path, changed: Path) -> None:
    replace(changed / "novita_protocol/v1/file.proto", "string name = 2", "int64 name = 2")
    assert compare(repository, changed).returncode == 100


def test_a_new_field_is_not_a_breaking_change(repository: Path, changed: Path) -> None:
    replace(changed / "novita_protocol/v1/file.proto", "string sha256 = 5;", "string sha256 = 5;\n  string note = 6;")
    outcome = compare(repository, changed)
    assert outcome.returncode == 0, outcome.stdout


def test_lint_finds_a_name_in_the_wrong_case(repository: Path, changed: Path) -> None:
    replace(changed / "novita_protocol/v1/file.proto", "sha256", "Sha256")
    image = changed.parent / "lint.binpb"
    image.write_bytes(descriptors(changed))
    outcome = buf(repository, "lint", image)
    assert outcome.returncode == 100
    assert "Sha256" in outcome.stdout
