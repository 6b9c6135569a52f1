from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from novita_sdk.files import FetchPolicy, File, FileError, progress_bar
from novita_sdk.files._download import download_file

MIB = 1 << 20


def test_a_file_is_fetched_checked_and_named(site, tmp_path: Path) -> None:
    site.content = os.urandom(3 * MIB + 5)
    seen: list[tuple[int, int | None]] = []
    path = site.file("in.png").download(tmp_path / "new", on_progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "new" / "in.png"
    assert path.read_bytes() == site.content
    assert seen[-1] == (len(site.content), len(site.content))
    assert list(path.parent.iterdir()) == [path]
    assert site.file().read() == site.content


def test_an_empty_file_is_fetched(site, tmp_path: Path) -> None:
    assert site.file().read() == b""


def test_a_file_that_is_there_is_not_fetched_again(site, tmp_path: Path) -> None:
    site.content = b"content"
    first = site.file().download(tmp_path)
    assert site.file().download(tmp_path) == first
    assert len(site.requests) == 1


def test_another_file_of_the_same_name_is_left_alone(site, tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"precious")
    site.content = b"new"
    assert site.file("out.png").download(tmp_path).name == "out-1.png"
    assert (tmp_path / "out.png").read_bytes() == b"precious"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_resumed(site, tmp_path: Path, ranges: bool) -> None:
    site.content = os.urandom(5 * MIB)
    site.ranges = ranges
    site.answers = [site.cut_after(2 * MIB), site.status(503), site.cut_after(MIB)]
    assert site.file().download(tmp_path).read_bytes() == site.content
    assert "Range" in site.requests[1].headers


def test_a_server_that_breaks_off_for_ever_is_given_up(site, tmp_path: Path) -> None:
    site.content = b"x" * 100_000
    site.answers = [site.cut_after(50_000), *([site.status(200)] * 20)]
    site.ranges = False
    with pytest.raises(FileError) as caught:
        site.file().download(tmp_path)
    assert caught.value.code == "UNREACHABLE"


def test_a_download_goes_on_in_another_process_where_it_stopped(site, tmp_path: Path) -> None:
    site.content = os.urandom(3 * MIB)
    file = site.file()
    (tmp_path / f".{file.sha256[:16]}.part").write_bytes(site.content[: 2 * MIB])
    assert file.download(tmp_path).read_bytes() == site.content
    assert site.requests[0].headers["Range"] == f"bytes={2 * MIB}-"
    assert len(site.requests) == 1


def test_a_spoiled_part_is_thrown_away(site, tmp_path: Path) -> None:
    site.content = os.urandom(MIB)
    file = site.file()
    for spoiled in (b"wrong" * 100, b"x" * MIB, b"x" * (MIB + 1)):
        (tmp_path / f".{file.sha256[:16]}.part").write_bytes(spoiled)
        assert file.download(tmp_path).read_bytes() == site.content
        (tmp_path / "file.bin").unlink()


def test_content_with_another_hash_is_refused(site, tmp_path: Path) -> None:
    site.content = b"what was sent"
    file = site.file()
    site.content = b"what came...."
    with pytest.raises(FileError, match="SHA-256") as caught:
        file.download(tmp_path)
    assert caught.value.code == "CORRUPT"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "code"), [(403, "EXPIRED"), (400, "EXPIRED"), (404, "NOT_FOUND"), (410, "NOT_FOUND")]
)
def test_a_dead_link_is_told_at_once_without_its_secret(site, tmp_path: Path, status: int, code: str) -> None:
    site.answers = [site.status(status)]
    file = File(url=f"{site.url}/file?signature=secret", name="x", size=1, sha256="0" * 64)
    with pytest.raises(FileError) as caught:
        file.download(tmp_path)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)
    assert len(site.requests) == 1


def test_a_server_that_stays_down_is_given_up(site, tmp_path: Path) -> None:
    site.content = b"x"
    site.answers = [site.status(503)] * 20
    with pytest.raises(FileError, match="status 503") as caught:
        site.file().download(tmp_path)
    assert caught.value.code == "UNREACHABLE"
    assert caught.value.retryable


def fetch(file: File, directory: Path, **limits) -> Path:
    return download_file(file, directory, policy=FetchPolicy(allow_private=True, **limits))


def test_a_file_over_the_limit_is_not_fetched(site, tmp_path: Path) -> None:
    site.content = b"x" * 1000
    with pytest.raises(FileError, match="larger than 999 bytes"):
        fetch(site.file(), tmp_path, max_bytes=999)
    assert site.requests == []


def test_a_server_that_sends_more_than_it_said_is_cut_off(site, tmp_path: Path) -> None:
    site.content = b"x" * 10
    small = File(url=f"{site.url}/file", name="x", size=9, sha256=hashlib.sha256(b"x" * 9).hexdigest())
    with pytest.raises(FileError) as caught:
        small.download(tmp_path)
    assert caught.value.code == "TOO_LARGE"
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_takes_too_long_ends(site, tmp_path: Path) -> None:
    site.content = b"x" * 1000
    site.answers = [site.drip(0.05)] * 10
    with pytest.raises(FileError) as caught:
        fetch(site.file(), tmp_path, max_seconds=0.3)
    assert caught.value.code == "TOO_SLOW"


def test_redirects_are_followed_so_far_and_no_further(site, tmp_path: Path) -> None:
    site.content = b"x"
    site.answers = [site.status(302, Location="/again")] * 2
    assert fetch(site.file(), tmp_path).read_bytes() == b"x"
    site.answers = [site.status(302, Location="/again")] * 20
    other = File(url=f"{site.url}/file", name="y", size=1, sha256="1" * 64)
    with pytest.raises(FileError, match="redirects more than"):
        fetch(other, tmp_path)


def test_a_bar_shows_a_download(site, tmp_path: Path) -> None:
    site.content = b"x" * 2_000_000
    shown = io.StringIO()
    with progress_bar("clip.mp4", stream=shown) as on_progress:
        site.file().download(tmp_path, on_progress=on_progress)
    assert "clip.mp4" in shown.getvalue()
    assert "2.0/2.0 MB" in shown.getvalue()
