from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web

from novita_sdk.files import ContentFolder, FetchPolicy, FileError, JobFiles, default_cache
from novita_worker import JobContext
from tests.support.file_servers import Site


def add(folder: ContentFolder, content: bytes) -> Path:
    return folder.add(hashlib.sha256(content).hexdigest(), lambda path: path.write_bytes(content))


def test_a_content_is_kept_under_its_hash(tmp_path: Path) -> None:
    folder = ContentFolder(tmp_path / "cache")
    path = add(folder, b"x")
    assert folder.get(hashlib.sha256(b"x").hexdigest()) == path
    assert path.read_bytes() == b"x"
    assert folder.get("0" * 64) is None
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_what_has_another_hash_is_not_kept(tmp_path: Path) -> None:
    folder = ContentFolder(tmp_path)
    with pytest.raises(FileError, match="SHA-256"):
        folder.add("0" * 64, lambda path: path.write_bytes(b"x"))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_failed_fetch_can_be_tried_again(tmp_path: Path) -> None:
    folder = ContentFolder(tmp_path)
    sha256 = hashlib.sha256(b"x").hexdigest()
    with pytest.raises(ZeroDivisionError):
        folder.add(sha256, lambda path: 1 / 0)
    assert add(folder, b"x").exists()


@pytest.mark.parametrize("name", ["../../x", "", "ABC", "x" * 64])
def test_what_is_no_hash_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        ContentFolder(tmp_path).get(name)


def test_the_files_that_were_used_last_stay(tmp_path: Path) -> None:
    folder = ContentFolder(tmp_path, max_bytes=30)
    paths = [add(folder, bytes([n]) * 10) for n in range(3)]
    for age, path in zip((100, 300, 200), paths, strict=True):
        os.utime(path, (0, path.stat().st_mtime - age))
    folder.get(hashlib.sha256(b"\1" * 10).hexdigest())
    add(folder, b"new" * 3)
    assert [path.exists() for path in paths] == [True, True, False]


def test_a_folder_is_not_looked_through_for_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    glob = Path.glob

    def counted(path: Path, pattern: str) -> object:
        looks.append(pattern)
        return glob(path, pattern)

    monkeypatch.setattr(Path, "glob", counted)
    folder = ContentFolder(tmp_path, max_bytes=80_000)
    for number in range(250):
        add(folder, b"%400d" % number)
    total = sum(path.stat().st_size for path in glob(tmp_path, "??/*"))
    assert 70_000 < total <= 80_000
    assert looks.count("??/*") < 125


def test_a_file_that_a_crash_of_the_machine_cut_short_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    folder = ContentFolder(tmp_path)
    site.content = b"content"
    with JobFiles(folder, FetchPolicy(allow_private=True)) as files:
        files.open(site.file())
        folder.path(site.file().sha256).write_bytes(b"")
        assert files.open(site.file()).read_bytes() == b"content"


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder away")
def test_a_cache_in_the_temporary_folder_is_never_another_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    squatted = tmp_path / f"novita-files-{os.getuid()}"
    squatted.mkdir()
    os.chown(squatted, 12345, 12345)
    with pytest.raises(FileError, match="NOVITA_FILE_CACHE"):
        default_cache()
    squatted.rmdir()
    squatted.symlink_to(tmp_path)
    os.chown(squatted, 12345, 12345, follow_symlinks=False)
    with pytest.raises(FileError, match="NOVITA_FILE_CACHE"):
        default_cache()
    monkeypatch.setenv("NOVITA_FILE_CACHE", str(tmp_path / "mine"))
    assert default_cache().directory == tmp_path / "mine"


def test_what_a_killed_process_left_half_written_goes_in_time(tmp_path: Path) -> None:
    folder = ContentFolder(tmp_path, max_bytes=1000)
    kept = [tmp_path / ".new-now" / "content", tmp_path / ".upload-now"]
    left = [tmp_path / ".new-old" / "content", tmp_path / ".upload-old"]
    for path in kept + left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    for path in (left[0].parent, left[1]):
        os.utime(path, (0, path.stat().st_mtime - 2 * 24 * 3600))
    add(folder, b"x")
    assert [path.exists() for path in kept + left] == [True, True, False, False]


def test_threads_of_a_job_get_copies_of_their_own(site: Site, tmp_path: Path) -> None:
    site.content = b"shared"
    with JobFiles(ContentFolder(tmp_path), FetchPolicy(allow_private=True)) as files, ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(files.open, [site.file("in.png")] * 64))
    assert len(set(opened)) == 64
    assert {path.parent.parent for path in opened} == {opened[0].parent.parent}
    assert not opened[0].parent.parent.exists()


def test_a_job_keeps_its_file_when_the_cache_drops_it(site: Site, tmp_path: Path) -> None:
    folder = ContentFolder(tmp_path / "cache", max_bytes=10)
    site.content = b"first"
    with JobFiles(folder, FetchPolicy(allow_private=True)) as files:
        path = files.open(site.file("a.png"))
        path.write_bytes(b"changed by the handler")
        assert files.open(site.file("a.png")).read_bytes() == b"first"
        add(folder, b"0123456789")
        assert path.read_bytes() == b"changed by the handler"
    assert not path.exists()
    assert len(site.requests) == 1


def test_a_download_that_outlives_its_job_ends(site: Site, tmp_path: Path) -> None:
    files = JobFiles(ContentFolder(tmp_path), FetchPolicy(allow_private=True))
    site.content = b"x"

    async def end_the_job(request: web.Request) -> web.Response:
        files.close()
        return web.Response(body=site.content)

    site.answers.append(end_the_job)
    with pytest.raises(FileError, match="the job has ended"):
        files.open(site.file())


@pytest.mark.parametrize("was_used", [True, False])
def test_a_thread_that_outlives_its_job_opens_nothing_more(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_used: bool
) -> None:
    site.content = b"x"
    monkeypatch.setenv("NOVITA_FILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NOVITA_FETCH_ALLOW_HOSTS", "127.0.0.1")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    context = JobContext({"id": "job"}, reports=SimpleNamespace())
    if was_used:
        assert context.open(site.file()).read_bytes() == b"x"
    context.close_files()
    for value in (site.file(), f"{site.url}/file"):
        with pytest.raises(FileError, match="the job has ended"):
            context.open(value)
    assert list(tmp_path.glob("novita-job-*")) == []


def test_a_relative_cache_is_the_one_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "start").mkdir()
    monkeypatch.setenv("NOVITA_FILE_CACHE", "cache")
    monkeypatch.chdir(tmp_path / "start")
    folder = ContentFolder("other")
    monkeypatch.chdir(tmp_path)
    assert default_cache(tmp_path / "start").directory == tmp_path / "start" / "cache"
    assert default_cache().directory == tmp_path / "cache"
    assert folder.directory == tmp_path / "start" / "other"
