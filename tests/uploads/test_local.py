from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from novita_sdk.uploads import UploadError, upload_bytes, upload_file, upload_image, upload_images


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    path.write_bytes(b"pixels")
    return path


def test_without_bucket_files_are_copied_as_published(picture: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        image = upload_image("job-1", str(picture))
        file = upload_file("out.bin", str(picture), prefix="job-1")
        data = upload_bytes("data.bin", b"bytes", prefix="job-1")
    assert image.startswith("local_upload/")
    assert image.endswith(".png")
    assert file == "local_upload/out.bin"
    assert data == "local_upload/data.bin"
    assert Path(image).read_bytes() == Path(file).read_bytes() == b"pixels"
    assert Path(data).read_bytes() == b"bytes"
    assert "BUCKET_ACCESS_KEY_ID" in caplog.text


def test_a_copy_may_be_read_by_whom_other_files_may(picture: Path) -> None:
    Path("ordinary").touch()
    assert Path(upload_file("x.png", picture)).stat().st_mode == Path("ordinary").stat().st_mode


def test_images_are_copied_in_order(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.png" for n in range(6)]
    for n, path in enumerate(paths):
        path.write_bytes(b"%d" % n)
    assert [Path(copy).read_bytes() for copy in upload_images("j", paths)] == [b"%d" % n for n in range(6)]


def test_a_name_may_have_folders() -> None:
    assert Path(upload_bytes("a/b/c.txt", b"x")).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../out.txt", "/tmp/out.txt", "a/../../out.txt", "nul\0.txt"])
def test_no_name_leaves_the_local_directory(name: str, tmp_path: Path) -> None:
    with pytest.raises(UploadError):
        upload_bytes(name, b"x")
    with pytest.raises(UploadError):
        upload_bytes("ok.txt", b"x", prefix="../..")
    assert not Path("local_upload").exists()


def test_a_linked_folder_does_not_lead_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    Path("local_upload").mkdir()
    Path("local_upload/link").symlink_to(outside)
    with pytest.raises(UploadError, match="symbolic link"):
        upload_bytes("link/x.txt", b"x")
    with pytest.raises(UploadError, match="symbolic link"):
        upload_bytes("link/made/x.txt", b"x")
    assert list(outside.iterdir()) == []


def test_a_linked_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "precious.txt"
    outside.write_bytes(b"precious")
    Path("local_upload").mkdir()
    Path("local_upload/x.txt").symlink_to(outside)
    assert Path(upload_bytes("x.txt", b"new")).read_bytes() == b"new"
    assert outside.read_bytes() == b"precious"


def test_a_disk_that_takes_no_more_is_named_and_keeps_nothing_half(tmp_path: Path) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(b"x" * 3_000_000)
    script = """
import resource, signal, sys
from novita_sdk.uploads import upload_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
try:
    upload_file("full.bin", sys.argv[1])
except OSError as error:
    print(error)
"""
    result = subprocess.run([sys.executable, "-c", script, big], check=True, capture_output=True, text=True)
    assert result.stdout == "[Errno 27] File too large, while saving an upload: 'local_upload/full.bin'\n"
    assert list(Path("local_upload").iterdir()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not exist.*gone\.png"):
        upload_image("j", tmp_path / "gone.png")
    with pytest.raises(IsADirectoryError):
        upload_file("x", tmp_path)


def test_progress_ends_at_the_whole(picture: Path) -> None:
    seen: list[tuple[int, int]] = []
    upload_file("x", picture, on_progress=lambda sent, total: seen.append((sent, total)))
    assert seen == [(6, 6)]


def test_a_link_can_not_live_longer_than_a_week(picture: Path) -> None:
    with pytest.raises(ValueError, match="604800"):
        upload_file("x", picture, expires_in=604801)
