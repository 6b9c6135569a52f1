from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import gzip
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import web

from novita_sdk.files import ContentFolder, FetchPolicy, File, FileError, JobFiles, _download, progress_bar
from novita_sdk.files._download import download_file
from tests.support.file_servers import Site

MIB = 1 << 20


def test_a_file_is_fetched_checked_and_named(site: Site, tmp_path: Path) -> None:
    site.content = os.urandom(3 * MIB + 5)
    seen: list[tuple[int, int | None]] = []
    path = site.file("in.png").download(tmp_path / "new", on_progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "new" / "in.png"
    assert path.read_bytes() == site.content
    assert seen[-1] == (len(site.content), len(site.content))
    assert list(path.parent.iterdir()) == [path]
    assert site.file().read() == site.content


def test_an_empty_file_is_fetched(site: Site, tmp_path: Path) -> None:
    assert site.file().read() == b""


def test_a_file_that_is_there_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    site.content = b"content"
    first = site.file().download(tmp_path)
    assert site.file().download(tmp_path) == first
    assert len(site.requests) == 1


def test_another_file_of_the_same_name_is_left_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"precious")
    site.content = b"new"
    assert site.file("out.png").download(tmp_path).name == "out-1.png"
    assert (tmp_path / "out.png").read_bytes() == b"precious"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_connection_is_resumed(site: Site, tmp_path: Path, ranges: bool) -> None:
    site.content = os.urandom(5 * MIB)
    site.ranges = ranges
    site.answers = [site.cut_after(2 * MIB), site.status(503), site.cut_after(MIB)]
    assert site.file().download(tmp_path).read_bytes() == site.content
    assert "Range" in site.requests[1].headers


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many attempts as ever, with less time between them."""
    patience = dataclasses.replace(_download._FRUITLESS, first_delay=0.01, max_delay=0.05)
    monkeypatch.setattr(_download, "_FRUITLESS", patience)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_breaks_off_for_ever_is_given_up(site: Site, tmp_path: Path) -> None:
    site.content = b"x" * 100_000
    site.answers = [site.cut_after(50_000), *([site.status(200)] * 20)]
    site.ranges = False
    with pytest.raises(FileError) as caught:
        site.file().download(tmp_path)
    assert caught.value.code == "UNREACHABLE"


def test_a_download_goes_on_in_another_process_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.content = os.urandom(3 * MIB)
    file = site.file()
    (tmp_path / f".{file.sha256[:16]}.part").write_bytes(site.content[: 2 * MIB])
    assert file.download(tmp_path).read_bytes() == site.content
    assert site.requests[0].headers["Range"] == f"bytes={2 * MIB}-"
    assert len(site.requests) == 1


def test_a_spoiled_part_is_thrown_away(site: Site, tmp_path: Path) -> None:
    site.content = os.urandom(MIB)
    file = site.file()
    for spoiled in (b"wrong" * 100, b"x" * MIB, b"x" * (MIB + 1)):
        (tmp_path / f".{file.sha256[:16]}.part").write_bytes(spoiled)
        assert file.download(tmp_path).read_bytes() == site.content
        (tmp_path / "file.bin").unlink()


def test_content_with_another_hash_is_refused(site: Site, tmp_path: Path) -> None:
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
def test_a_dead_link_is_told_at_once_without_its_secret(site: Site, tmp_path: Path, status: int, code: str) -> None:
    site.answers = [site.status(status)]
    file = File(url=f"{site.url}/file?signature=secret", name="x", size=1, sha256="0" * 64)
    with pytest.raises(FileError) as caught:
        file.download(tmp_path)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)
    assert len(site.requests) == 1


@pytest.mark.usefixtures("impatient")
def test_a_server_that_stays_down_is_given_up(site: Site, tmp_path: Path) -> None:
    site.content = b"x"
    site.answers = [site.status(503)] * 20
    with pytest.raises(FileError, match="status 503") as caught:
        site.file().download(tmp_path)
    assert caught.value.code == "UNREACHABLE"
    assert caught.value.retryable
    assert len(site.requests) == 6


def test_a_full_disk_is_named_and_the_download_goes_on_later(site: Site, tmp_path: Path) -> None:
    site.content = os.urandom(2 * MIB)
    file = site.file()
    # A limit on the size of files stands in for the end of the disk.
    script = (
        "import json, resource, signal, sys; from novita_sdk.files import File\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try: File.of(json.loads(sys.argv[1])).download('.')\n"
        "except OSError as error: print(error.errno, error.filename)\n"
    )
    command = [sys.executable, "-c", script, json.dumps(file)]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said == f"{errno.EFBIG} .{file.sha256[:16]}.part\n"
    assert file.download(tmp_path).read_bytes() == site.content
    assert [request.headers.get("Range") for request in site.requests] == [None, f"bytes={MIB}-"]


PATIENT = FetchPolicy(allow_private=True)


def fetch(file: File, directory: Path, policy: FetchPolicy = PATIENT) -> Path:
    return download_file(file, directory, policy=policy)


def test_a_file_over_the_limit_is_not_fetched(site: Site, tmp_path: Path) -> None:
    site.content = b"x" * 1000
    with pytest.raises(FileError, match="larger than 999 bytes"):
        fetch(site.file(), tmp_path, FetchPolicy(allow_private=True, max_bytes=999))
    assert site.requests == []


def test_a_server_that_sends_more_than_it_said_is_cut_off(site: Site, tmp_path: Path) -> None:
    site.content = b"x" * 10
    small = File(url=f"{site.url}/file", name="x", size=9, sha256=hashlib.sha256(b"x" * 9).hexdigest())
    with pytest.raises(FileError) as caught:
        small.download(tmp_path)
    assert caught.value.code == "TOO_LARGE"
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_takes_too_long_ends(site: Site, tmp_path: Path) -> None:
    site.content = b"x" * 1000
    site.answers = [site.drip(0.05)] * 10
    with pytest.raises(FileError) as caught:
        fetch(site.file(), tmp_path, FetchPolicy(allow_private=True, max_seconds=0.3))
    assert caught.value.code == "TOO_SLOW"


def test_redirects_are_followed_so_far_and_no_further(site: Site, tmp_path: Path) -> None:
    site.content = b"x"
    site.answers = [site.status(302, Location="/again")] * 2
    assert fetch(site.file(), tmp_path).read_bytes() == b"x"
    site.answers = [site.status(302, Location="/again")] * 20
    other = File(url=f"{site.url}/file", name="y", size=1, sha256="1" * 64)
    with pytest.raises(FileError, match="redirects more than"):
        fetch(other, tmp_path)


def open_url(url: str, directory: Path, policy: FetchPolicy = PATIENT) -> bytes:
    with JobFiles(ContentFolder(directory), policy) as files:
        return files.open(url).read_bytes()


def test_the_body_of_a_redirect_is_not_read(site: Site, tmp_path: Path) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse(status=302, headers={"Location": "/file"})
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            while sent < 300 * MIB:
                await answer.write(bytes(MIB))
                sent += MIB
        return answer

    site.content = b"x"
    site.answers = [endless]
    assert open_url(f"{site.url}/there", tmp_path) == b"x"
    assert sent < 100 * MIB


@pytest.mark.parametrize("location", ["http://[::1", "ftp://host/x", "http://a b/"])
def test_a_redirect_to_nowhere_is_refused(site: Site, tmp_path: Path, location: str) -> None:
    site.answers = [site.status(302, Location=location)]
    with pytest.raises(FileError) as caught:
        open_url(f"{site.url}/there", tmp_path)
    assert caught.value.code == "INVALID"
    assert site.open_connections == 0


def test_a_file_that_changes_while_it_is_fetched_is_fetched_anew(site: Site, tmp_path: Path) -> None:
    first, second = os.urandom(2 * MIB), os.urandom(2 * MIB)
    site.content = first

    async def cut_and_change(request: web.Request) -> web.StreamResponse:
        answer = await site.cut_after(MIB)(request)
        site.content = second
        return answer

    site.answers = [cut_and_change]
    assert open_url(f"{site.url}/now.png", tmp_path) == second


def test_the_rest_of_a_file_is_asked_for_in_the_version_that_was_begun(site: Site, tmp_path: Path) -> None:
    site.content = os.urandom(2 * MIB)
    site.answers = [site.cut_after(MIB, ETag='"v1"'), site.cut_after(1000, ETag='"v1"')]
    assert open_url(f"{site.url}/file", tmp_path) == site.content
    assert [request.headers.get("If-Range") for request in site.requests] == [None, '"v1"', '"v1"']


def test_a_file_that_comes_compressed_is_unpacked_also_after_a_break(site: Site, tmp_path: Path) -> None:
    plain = os.urandom(MIB)
    site.content = gzip.compress(plain)
    packed = {"Content-Encoding": "gzip", "ETag": '"v1"'}
    site.answers = [
        site.cut_after(MIB // 2, **packed),
        site.cut_after(MIB // 4, **packed),
        site.cut_after(2 * MIB, **packed),
    ]
    assert open_url(f"{site.url}/file", tmp_path) == plain


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip"])
def test_a_file_that_unpacks_to_more_than_the_limit_is_cut_off(site: Site, tmp_path: Path, encoding: str) -> None:
    site.content = gzip.compress(bytes(20 * MIB))
    site.answers = [site.cut_after(MIB, **{"Content-Encoding": encoding})]
    with pytest.raises(FileError) as caught:
        open_url(f"{site.url}/file", tmp_path, FetchPolicy(allow_private=True, max_bytes=MIB))
    assert caught.value.code == {"gzip": "TOO_LARGE"}.get(encoding, "REFUSED")


@pytest.mark.parametrize(
    "begin", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
)
def test_a_server_that_never_finishes_a_line_meets_the_time_limit(tmp_path: Path, begin: bytes) -> None:
    given_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                client.recv(65536)
                client.sendall(begin)
                # A thousand seconds, for who does not give up.
                for _ in range(10_000):
                    client.sendall(b"0")
                    if given_up.wait(0.1):
                        return

        server = threading.Thread(target=drip)
        server.start()
        try:
            with pytest.raises(FileError) as caught:
                open_url(
                    f"http://127.0.0.1:{listener.getsockname()[1]}/",
                    tmp_path,
                    FetchPolicy(allow_private=True, max_seconds=0.5),
                )
        finally:
            given_up.set()
            server.join()
    assert caught.value.code == "TOO_SLOW"


def test_threads_that_want_the_same_file_share_a_download(site: Site, tmp_path: Path) -> None:
    site.content = os.urandom(3 * MIB)
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda file: file.download(tmp_path), [site.file()] * 8))
    assert set(paths) == {tmp_path / "file.bin"}
    assert paths[0].read_bytes() == site.content
    assert list(tmp_path.iterdir()) == [paths[0]]
    assert len(site.requests) == 1


def test_processes_that_want_the_same_file_share_a_download(site: Site, tmp_path: Path) -> None:
    site.content = os.urandom(3 * MIB)
    site.answers = [site.cut_after(MIB)]
    script = (
        "import sys, json; from novita_sdk.files import File; print(File.of(json.loads(sys.argv[1])).download('.'))"
    )
    command = [sys.executable, "-c", script, json.dumps(site.file())]
    downloads = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [download.communicate(timeout=120)[0] for download in downloads] == ["file.bin\n"] * 3
    assert (tmp_path / "file.bin").read_bytes() == site.content
    assert len(site.requests) == 2


def test_files_of_one_name_that_come_at_once_are_all_kept(site: Site, tmp_path: Path) -> None:
    contents = [b"%d" % number for number in range(8)]
    all_asked = asyncio.Barrier(8)

    async def together(request: web.Request) -> web.Response:
        await all_asked.wait()
        return web.Response(body=request.query["n"].encode())

    site.answers = [together] * 8
    files = [
        File(url=f"{site.url}/?n={n}", name="out.png", size=1, sha256=hashlib.sha256(content).hexdigest())
        for n, content in enumerate(contents)
    ]
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda file: file.download(tmp_path), files))
    assert [path.read_bytes() for path in paths] == contents
    assert {path.name for path in paths} == {"out.png", *(f"out-{n}.png" for n in range(1, 8))}


def test_no_error_shows_the_password_of_a_url(site: Site, tmp_path: Path) -> None:
    site.answers = [site.status(404)]
    for url in (site.url.replace("//", "//user:hidden@"), "ftp://user:hidden@host/x?key=hidden"):
        with pytest.raises(FileError) as caught:
            open_url(url, tmp_path)
        assert "hidden" not in str(caught.value)


def test_a_bar_shows_a_download(site: Site, tmp_path: Path) -> None:
    site.content = b"x" * 2_000_000
    shown = io.StringIO()
    with progress_bar("clip.mp4", stream=shown) as on_progress:
        site.file().download(tmp_path, on_progress=on_progress)
    assert "clip.mp4" in shown.getvalue()
    assert "2.0/2.0 MB" in shown.getvalue()
