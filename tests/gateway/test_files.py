"""The gateway's file store: announce, upload by a link, download by a link."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from novita_gateway import Gateway, serve_in_thread
from novita_gateway.files.link_clock import LinkClock
from novita_gateway.files.routes import FileRoutes
from novita_sdk.files import GatewayStore, LocalFile
from tests.support.gateway_api import Api, Connect, raw_connection
from tests.support.waiting import DEADLINE, eventually_async

CONTENT = os.urandom(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ANNOUNCEMENT = b'{"name": "a.bin", "mediaType": "image/png", "size": %d, "sha256": "%s"}' % (
    len(CONTENT),
    SHA256.encode(),
)


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def upload(api: Api) -> str:
    """Puts the content into the store; returns the path of its link."""
    reply = await api.worker("POST", "/v1/ep/files", ANNOUNCEMENT)
    assert reply.status == 200, reply.body
    assert (await api.call("PUT", path_of(reply.json["upload"]), CONTENT)).status == 200
    return path_of(reply.json["file"]["url"])


async def test_a_file_goes_up_by_one_link_and_comes_down_by_another(api: Api) -> None:
    link = await upload(api)
    whole = await api.call("GET", link)
    assert (whole.status, whole.body) == (200, CONTENT)
    assert whole.headers["Content-Type"] == "image/png"
    assert whole.headers["Content-Disposition"].startswith("attachment")
    part = await api.call("GET", link, Range="bytes=100-199")
    assert (part.status, part.body) == (206, CONTENT[100:200])


async def test_a_content_that_is_there_is_not_asked_for_again(api: Api) -> None:
    await upload(api)
    reply = await api.client("POST", "/v2/other/files", ANNOUNCEMENT)
    assert "upload" not in reply.json
    assert (await api.call("GET", path_of(reply.json["file"]["url"]))).body == CONTENT


async def test_what_is_refused(api: Api) -> None:
    link = await upload(api)
    assert (await api.call("POST", "/v1/ep/files", ANNOUNCEMENT)).status == 401
    assert (await api.client("POST", "/v1/ep/files", b"[]")).status == 400
    assert (await api.client("POST", "/v1/ep/files", b"[" * 100_000)).status == 400
    assert (await api.client("DELETE", link)).status == 405
    assert (await api.call("GET", link + "0")).status == 403
    assert (await api.call("PUT", link, CONTENT)).status == 403
    assert (await api.call("GET", f"/v1/blobs/{SHA256}")).status == 403
    reply = await api.client("POST", "/v1/ep/files", ANNOUNCEMENT.replace(SHA256.encode(), b"0" * 64))
    assert (await api.call("PUT", path_of(reply.json["upload"]), CONTENT)).status == 400
    assert (await api.call("PUT", path_of(reply.json["upload"]), CONTENT[:5])).status == 400


async def test_files_and_their_links_outlive_the_gateway_where_a_directory_is_named(
    connect: Connect, tmp_path: Path
) -> None:
    first = await connect(Gateway(files=tmp_path / "files"))
    link = await upload(first)
    await first.gateway.close()
    second = await connect(Gateway(files=tmp_path / "files"))
    assert (await second.call("GET", link)).body == CONTENT
    assert (tmp_path / "files").stat().st_mode & 0o077 == 0


async def test_a_content_is_on_the_disk_before_it_has_its_name_and_its_name_before_the_answer(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = tmp_path / "files" / SHA256[:2] / SHA256
    synced: list[tuple[int, bool]] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        fsync(descriptor)
        synced.append((os.fstat(descriptor).st_ino, final.exists()))

    monkeypatch.setattr(os, "fsync", watched)
    await upload(await connect(Gateway(files=tmp_path / "files")))
    assert (final.stat().st_ino, False) in synced, "power loss could leave the name of a content that is not there"
    for folder in (final.parent, final.parents[1], tmp_path):
        assert (folder.stat().st_ino, True) in synced


@pytest.mark.parametrize("left", [b"", b"short"])
async def test_a_secret_that_a_crash_cut_short_is_made_anew(connect: Connect, tmp_path: Path, left: bytes) -> None:
    secret = tmp_path / "link-secret"
    secret.write_bytes(left)
    await upload(await connect(Gateway(files=tmp_path)))
    assert len(secret.read_bytes()) == 32
    assert secret.stat().st_mode & 0o077 == 0


async def test_what_a_killed_gateway_left_half_is_removed(connect: Connect, tmp_path: Path) -> None:
    old, new = tmp_path / ".upload-old", tmp_path / ".upload-new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    await upload(await connect(Gateway(files=tmp_path)))
    assert not old.exists()
    assert new.exists(), "another gateway of this directory may be at it"


async def test_an_upload_goes_on_where_a_clock_says_that_it_is_old(connect: Connect, tmp_path: Path) -> None:
    async def halves() -> list[Path]:
        return list(tmp_path.glob(".upload-*"))  # noqa: ASYNC240  a folder of the test

    gateway = Gateway(files=tmp_path)
    api = await connect(gateway)
    target = path_of((await api.worker("POST", "/v1/ep/files", ANNOUNCEMENT)).json["upload"])
    async with raw_connection(gateway) as (reader, writer):
        head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(CONTENT)}\r\n\r\n"
        writer.write(head.encode() + CONTENT[:100_000])
        (half,) = await eventually_async(halves)
        os.utime(half, (0, 0))  # as after a jump
        await upload(await connect(Gateway(files=tmp_path)))  # another gateway of the directory sweeps it
        assert half.exists()
        writer.write(CONTENT[100_000:])
        assert (await reader.read()).startswith(b"HTTP/1.1 200")


def test_links_expire_by_the_time_that_gateways_ran(tmp_path: Path) -> None:
    file, passed = tmp_path / "link-clock", 100.0

    def started(wall: float) -> LinkClock:
        return LinkClock(file, monotonic=lambda: passed, wall=lambda: wall)

    first = started(1_700_000_000)
    assert first() == 1_700_000_000
    passed += 3600
    assert first() == 1_700_003_600
    for wall in (0, 1_700_003_600 - 86_400, 1_700_003_600 + 3650 * 86_400):  # while no gateway ran
        later = started(wall)
        assert later() == 1_700_003_600
    passed += 30
    killed = later()
    assert killed == 1_700_003_630
    assert killed - started(0)() <= 60
    passed += 600
    assert first() == 1_700_004_230
    assert later() == first(), "two gateways of one folder"
    file.write_bytes(b"\xff")
    assert started(5)() == 5
    file.unlink()
    tmp_path.rmdir()
    assert started(7)() == 7, "it can't be written"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files")
async def test_a_full_disk_is_said_and_recovered_from(
    connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import resource

    api = await connect(Gateway(files=tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    replies = []
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))  # fails as a full disk does: in write, in close
        replies.append(await api.client("POST", "/v1/ep/files", ANNOUNCEMENT))  # it has no secret yet
        assert names(tmp_path) == []
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        target = path_of((await api.client("POST", "/v1/ep/files", ANNOUNCEMENT)).json["upload"])
        replies.extend([await api.call("PUT", target, CONTENT) for _ in range(2)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for reply in replies:
        assert (reply.status, reply.json["code"], reply.headers["Retry-After"]) == (503, "STORE_UNAVAILABLE", "1")
        assert str(tmp_path) not in reply.json["message"]
    assert names(tmp_path) == ["link-clock", "link-secret"], "what was half there must not stay"
    assert not any(record.exc_info for record in caplog.records)
    assert sum("cannot keep a file" in record.getMessage() for record in caplog.records) == len(replies)
    assert (await api.call("PUT", target, CONTENT)).status == 200


async def test_a_folder_that_can_not_be_made_is_said(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "files").write_bytes(b"in its place")
    api = await connect(Gateway(files=tmp_path / "files"))
    assert (await api.client("POST", "/v1/ep/files", ANNOUNCEMENT)).status == 503
    assert (await api.call("GET", f"/v1/blobs/{SHA256}")).status == 503
    assert (await api.client("POST", "/v1/ep/run", b'{"input": 1}')).status == 200, "jobs go on"


async def test_a_directory_of_its_own_goes_with_the_gateway(connect: Connect) -> None:
    api = await connect(Gateway())
    await upload(api)
    assert isinstance(api.gateway._files, FileRoutes)
    directory = api.gateway._files._directory
    assert directory is not None
    assert directory.exists()
    await api.gateway.close()
    assert not directory.exists()


async def test_a_sender_that_stops_is_cut_off() -> None:
    async with Gateway(body_timeout=0.1) as gateway:
        reply = await asyncio.to_thread(
            requests.post,
            f"{gateway.url}/ep/files",
            data=ANNOUNCEMENT,
            headers={"Authorization": gateway.api_key},
            timeout=DEADLINE,
        )
        async with raw_connection(gateway) as (reader, writer):
            target = path_of(reply.json()["upload"])
            writer.write(f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\nabc".encode())
            assert b" 408 " in await reader.read()


def test_the_projects_own_store_client_uses_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    with serve_in_thread() as gateway:
        store = GatewayStore(gateway.worker_env("ep")["NOVITA_FILES_URL"], f"Bearer {gateway.worker_token}")
        file = store.put(LocalFile(path=path))
        assert requests.get(file["url"], timeout=DEADLINE).content == CONTENT


@pytest.mark.parametrize("path", ["/v1/ep/files", "/v1/blobs/x"])
async def test_the_replies_advertise_long_polling_too(api: Api, path: str) -> None:
    assert "Novita-Long-Poll" in (await api.client("GET", path)).headers
