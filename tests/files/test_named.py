"""`File.from_path` means the file as it is then."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from novita_sdk.errors import JobFailedError
from novita_sdk.files import File, FileError
from novita_sdk.files import _named as named
from novita_testing import embedded

LARGE = named.SMALL + 1


def _overwritten(job: dict[str, Any]) -> dict[str, Any]:
    frames = []
    path = Path(job["input"], "frame.png")
    for letter in b"ABC":
        path.write_bytes(bytes([letter]) * 5)
        frames.append(File.from_path(path))
    return {"frames": frames}


def _relative(job: dict[str, Any]) -> dict[str, Any]:
    with contextlib.chdir(job["input"]):
        Path("out.png").write_bytes(b"P")
        return {"frames": [File.from_path("out.png")]}


def _temporary(job: dict[str, Any]) -> dict[str, Any]:
    frames = []
    for size in (1, LARGE):
        with tempfile.TemporaryDirectory(dir=job["input"]) as folder:
            path = Path(folder, "out.png")
            path.write_bytes(b"P" * size)
            frames.append(File.from_path(path))
    return {"frames": frames}


@pytest.mark.parametrize(
    ("handler", "contents"),
    [
        (_overwritten, [b"AAAAA", b"BBBBB", b"CCCCC"]),
        (_relative, [b"P"]),
        (_temporary, [b"P", b"P" * LARGE]),
    ],
)
def test_a_worker_sends_what_was_named(
    handler: Callable[[dict[str, Any]], dict[str, Any]], contents: list[bytes], tmp_path: Path
) -> None:
    with embedded(handler) as endpoint:
        frames = endpoint.run_sync(str(tmp_path), timeout=60)["frames"]
        assert [frame.read() for frame in frames] == contents


def test_a_worker_names_the_large_file_that_was_written_to(tmp_path: Path) -> None:
    def handler(job: dict[str, Any]) -> Any:
        path = Path(job["input"], "film.mp4")
        path.write_bytes(b"A" * LARGE)
        film = File.from_path(path)
        path.write_bytes(b"B" * (LARGE + 1))
        return film

    with (
        embedded(handler) as endpoint,
        pytest.raises(JobFailedError, match=r"film\.mp4 has changed since File\.from_path named it"),
    ):
        endpoint.run_sync(str(tmp_path), timeout=60)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.bin"
    path.write_bytes(os.urandom(LARGE))
    return path


def test_a_large_file_is_read_where_it_was_moved_and_by_many_at_once(large: Path) -> None:
    content = large.read_bytes()
    file = File.from_path(large)
    large.rename(large.with_name("elsewhere"))
    large.write_bytes(b"another one")
    with file.open() as one, file.open() as two:
        assert one.read(10) == two.read(10) == content[:10]
        assert one.seek(-3, os.SEEK_END) == LARGE - 3
        assert one.read() == content[-3:]
        assert two.read() == content[10:]
    assert (file.size, file.sha256) == (LARGE, hashlib.sha256(content).hexdigest())


def _change(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def _replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)


@pytest.mark.parametrize("change", [_change, _replace, Path.unlink])
def test_where_too_many_are_open_a_change_is_an_error_that_names_the_file(
    large: Path, change: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named, "MOST_OPEN", 0)
    file = File.from_path(large)
    assert file.read() == large.read_bytes()
    change(large)
    with pytest.raises(FileError, match=r"large\.bin (has changed|is gone) since") as caught:
        file.read()
    assert caught.value.code == "CHANGED"


def test_a_copy_in_another_process_is_held_to_the_same_file(large: Path) -> None:
    copy = pickle.loads(pickle.dumps(File.from_path(large)))
    assert copy.read() == large.read_bytes()
    _change(large)
    with pytest.raises(FileError, match="has changed"):
        copy.read()


def _open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_what_is_kept_open_and_read_is_bounded_and_let_go(large: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"x")
    gc.collect()
    before = _open_files()
    files = [File.from_path(path) for path in (large, small) for _ in range(300)]
    assert len(named._open) <= named.MOST_OPEN
    assert len(named._read) <= named.MOST_READ
    assert {file.sha256 for file in files[300:]} == {hashlib.sha256(b"x").hexdigest()}
    del files
    gc.collect()
    assert _open_files() <= before


def test_what_is_not_there_or_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match="no regular file"):
        File.from_path(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        File.from_path(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        File.from_path(tmp_path)
