"""The generated directory: the same on every run, checked without writing, and never at the cost of other files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from novita_codegen import GenerateError, generate

Write = Callable[[Mapping[str, str]], Path]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kinds(proto_dir: Path, out: Path) -> dict[str, str]:
    return {change.path.name: change.kind for change in generate(proto_dir, out, check=True)}


def test_two_runs_from_different_places_give_the_same_bytes(notes: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "deep"
    generate(notes, tmp_path / "first")
    moved.parent.mkdir()
    notes.rename(moved)
    generate(moved, tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    assert "notes/v1/note_service_novita.py" in contents(tmp_path / "first")


def test_output_that_is_up_to_date_is_not_touched(notes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert generate(notes, out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert generate(notes, out) == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == times


def test_check_names_edited_missing_and_extra_files_and_writes_nothing(notes: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    generate(notes, out)
    package = out / "notes" / "v1"
    (package / "note_pb2.py").write_text("edited", encoding="utf-8")
    (package / "note_pb2.pyi").unlink()
    (package / "gone_pb2.py").write_text("from a proto that was removed", encoding="utf-8")
    before = contents(out)
    assert kinds(notes, out) == {"note_pb2.py": "changed", "note_pb2.pyi": "missing", "gone_pb2.py": "extra"}
    assert contents(out) == before
    generate(notes, out)
    assert kinds(notes, out) == {}
    assert not (package / "gone_pb2.py").exists()


def test_check_as_a_command_exits_1_and_names_the_file(notes: Path, tmp_path: Path) -> None:
    def command(*options: str) -> subprocess.CompletedProcess[str]:
        words = [
            sys.executable,
            "-m",
            "novita_codegen",
            "generate",
            str(notes),
            "--out",
            str(tmp_path / "out"),
            *options,
        ]
        return subprocess.run(words, capture_output=True, text=True, check=False)

    assert command("--check").returncode == 1
    assert command().returncode == 0
    assert command("--check").returncode == 0
    (tmp_path / "out" / "notes" / "v1" / "note_pb2.pyi").write_text("", encoding="utf-8")
    stale = command("--check")
    assert stale.returncode == 1
    assert "changed: " in stale.stderr
    assert "note_pb2.pyi" in stale.stderr


def test_files_that_were_not_generated_are_kept_and_named(notes: Path, tmp_path: Path) -> None:
    mine = tmp_path / "notes" / "v1" / "mine.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("x = 1", encoding="utf-8")
    with pytest.raises(GenerateError, match=r"not generated: .*mine\.py"):
        generate(notes, tmp_path)
    assert mine.read_text(encoding="utf-8") == "x = 1"


def test_packages_may_be_beside_the_users_own_files(notes: Path, write_protos: Write, tmp_path: Path) -> None:
    out = tmp_path / "app"
    others = [out / "handler.py", out / "other_pb2.py", out / "mine" / "gone_pb2.py"]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1", encoding="utf-8")
    generate(notes, out)
    assert kinds(notes, out) == {}
    renamed = write_protos({"jots/v1/jot.proto": 'syntax = "proto3";\npackage jots.v1;\n'})
    for path in (renamed / "notes").rglob("*.proto"):
        path.unlink()
    generate(renamed, out)
    assert not list((out / "notes").rglob("*.py"))
    assert (out / "jots" / "v1" / "jot_pb2.py").exists()
    assert [path.read_text(encoding="utf-8") for path in others] == ["x = 1"] * 3


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('syntax = "proto3";\nmessage A {\n  int32 a = 1\n}\n', "bad/a.proto:4:1: "),
        ('syntax = "proto3";\nmessage A {\n  Missing a = 1;\n}\n', "bad/a.proto:3:3: "),
        ('syntax = "proto3";\nimport "no/such.proto";\n', "bad/a.proto:2:1: "),
    ],
)
def test_a_broken_proto_is_reported_with_file_line_and_column(
    write_protos: Write, tmp_path: Path, text: str, place: str
) -> None:
    with pytest.raises(GenerateError) as caught:
        generate(write_protos({"bad/a.proto": text}), tmp_path / "out")
    assert place in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_directory_without_protos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GenerateError, match=r"no \.proto file"):
        generate(tmp_path, tmp_path / "out")
