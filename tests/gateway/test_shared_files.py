"""Files of several gateways: in a bucket, or in a directory that all see; anything else is refused at the start."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from novita_gateway import Gateway, PostgresStore, StoreError, serve_in_thread
from novita_gateway.files import shared
from novita_sdk.files import GatewayStore, LocalFile
from novita_sdk.storage.places import Bucket
from tests.gateway.conftest import WEBHOOK_SECRET
from tests.gateway.test_files import ANNOUNCEMENT, CONTENT, path_of, upload
from tests.support.gateway_api import Connect
from tests.support.s3 import BUCKET, S3Server, moto, name_bucket, the_bucket
from tests.support.stores import Stores, dropped, execute, new_schema


@pytest.fixture
def stores(postgres: str) -> Iterator[Stores]:
    made = Stores("postgres", dsn=postgres, schema=new_schema())
    with dropped(made.dsn, made.schema):
        yield made


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with moto() as server:
        yield server


def gateway(stores: Stores, files: Path | Bucket | None = None) -> Gateway:
    store = PostgresStore(stores.dsn, schema=stores.schema)
    return Gateway(store=store, api_key="k", worker_token="w", webhook_secret=WEBHOOK_SECRET, files=files)


def markers(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.startswith(".seen-by-all-")]


async def test_a_file_that_came_to_one_gateway_is_had_from_another(
    tmp_path: Path, stores: Stores, connect: Connect
) -> None:
    first, second = [await connect(gateway(stores, tmp_path)) for _ in range(2)]
    link = await upload(first)
    assert (await second.call("GET", link)).body == CONTENT
    reply = (await second.client("POST", "/v1/ep/files", ANNOUNCEMENT)).json
    assert "upload" not in reply
    assert (await first.call("GET", path_of(reply["file"]["url"]))).body == CONTENT
    assert (await first.call("GET", link + "0")).status == 403


async def test_an_upload_link_of_one_gateway_is_taken_at_another(
    tmp_path: Path, stores: Stores, connect: Connect
) -> None:
    first, second = [await connect(gateway(stores, tmp_path)) for _ in range(2)]
    reply = (await first.client("POST", "/v1/ep/files", ANNOUNCEMENT)).json
    assert (await second.call("PUT", path_of(reply["upload"]), CONTENT)).status == 200
    assert (await first.call("GET", path_of(reply["file"]["url"]))).body == CONTENT


async def test_many_gateways_in_turn_and_at_once_see_each_other_and_leave_one_marker(
    tmp_path: Path, stores: Stores
) -> None:
    import asyncio

    for _ in range(3):
        async with gateway(stores, tmp_path):
            pass
    running = [gateway(stores, tmp_path) for _ in range(6)]
    await asyncio.gather(*(each.start() for each in running))
    await asyncio.gather(*(each.close() for each in running))
    assert len(markers(tmp_path)) == 1


async def test_a_directory_that_is_not_shared_is_refused_and_the_others_go_on(
    tmp_path: Path, stores: Stores, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_LOOKS", 2)
    first = await connect(gateway(stores, tmp_path / "a"))
    for _ in range(2):
        with pytest.raises(StoreError, match=r"and that is not .*b: name a directory that all of them share"):
            await gateway(stores, tmp_path / "b").start()
    assert markers(tmp_path / "b") == []
    await connect(gateway(stores, tmp_path / "a"))
    await upload(first)


async def test_a_copy_of_the_directory_is_not_the_directory(
    tmp_path: Path, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken for it once at most: the next gateway's marker is in one of them alone."""
    monkeypatch.setattr(shared, "_LOOKS", 2)
    async with gateway(stores, tmp_path / "a"):
        (tmp_path / "b").mkdir()
        for path in (tmp_path / "a").iterdir():
            (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
        async with gateway(stores, tmp_path / "a"):
            with pytest.raises(StoreError, match="that is not"):
                await gateway(stores, tmp_path / "b").start()


async def test_files_that_were_moved_on_purpose_are_found_where_they_are_now(tmp_path: Path, stores: Stores) -> None:
    async with gateway(stores, tmp_path / "a"):
        pass
    (tmp_path / "a").rename(tmp_path / "b")
    async with gateway(stores, tmp_path / "b"):
        pass
    await execute(stores.dsn, "DELETE FROM file_place", schema=stores.schema)
    async with gateway(stores, tmp_path / "c"):
        pass


async def test_a_directory_that_can_not_be_written_is_refused(tmp_path: Path, stores: Stores) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match=r"files can't be kept in .*file"):
        await gateway(stores, tmp_path / "file").start()


async def test_files_go_to_the_bucket_of_the_environment_and_come_from_it(
    stores: Stores, connect: Connect, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_bucket(monkeypatch, s3)
    first, second = [await connect(gateway(stores)) for _ in range(2)]
    content = os.urandom(100_000)
    sha256 = hashlib.sha256(content).hexdigest()
    announcement = b'{"name": "a.png", "size": %d, "sha256": "%s"}' % (len(content), sha256.encode())
    reply = (await first.worker("POST", "/v1/ep/files", announcement)).json
    assert reply["upload"].startswith(s3.url)
    async with first.session.put(reply["upload"], data=content) as put:
        assert put.status == 200
    assert s3.get(f"files/{sha256}.png") == content
    again = (await second.client("POST", "/v1/ep/files", announcement)).json
    assert "upload" not in again
    for link in (reply["file"]["url"], again["file"]["url"]):
        async with second.session.get(link) as got:
            assert await got.read() == content
            assert got.headers["Content-Disposition"].startswith("attachment")
    assert (await first.call("POST", "/v1/ep/files", announcement)).status == 401
    assert (await first.client("POST", "/v1/ep/files", b"[]")).status == 400
    assert (await first.call("GET", f"/v1/blobs/{sha256}")).status == 404


def test_the_projects_own_store_client_uses_the_bucket_through_a_gateway(stores: Stores, s3: S3Server) -> None:
    bucket = the_bucket(BUCKET, s3.creds)
    with serve_in_thread(lambda: gateway(stores, bucket)) as running:
        store = GatewayStore(f"{running.url}/ep/files", f"Bearer {running.api_key}")
        for content in (b"", os.urandom(50_000)):
            file = store.put(LocalFile(data=content, name="a.bin"))
            assert s3.get(f"files/{hashlib.sha256(content).hexdigest()}.bin") == content
            assert file.url.startswith(s3.url)
            assert file.read() == content


async def test_a_bucket_that_takes_nothing_is_refused_at_the_start(stores: Stores, s3: S3Server) -> None:
    with pytest.raises(StoreError, match=r"files can't be kept: .*there is no such bucket"):
        await gateway(stores, the_bucket("none", s3.creds)).start()


@pytest.mark.parametrize("other", ["directory", "nowhere"])
async def test_a_place_of_another_kind_is_refused(
    tmp_path: Path, stores: Stores, s3: S3Server, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_LOOKS", 2)
    async with gateway(stores, the_bucket(BUCKET, s3.creds)):
        with pytest.raises(StoreError, match="keep files in a bucket 'outputs' at http"):
            await gateway(stores, tmp_path if other == "directory" else None).start()


async def test_without_a_place_files_are_refused_until_a_gateway_has_one(
    tmp_path: Path, stores: Stores, connect: Connect, s3: S3Server
) -> None:
    without = await connect(gateway(stores))
    reply = await without.client("POST", "/v1/ep/files", ANNOUNCEMENT)
    assert reply.status == 404
    assert "--files DIRECTORY" in reply.json["message"]
    await without.submit()
    await upload(await connect(gateway(stores, tmp_path)))


@pytest.mark.parametrize("missing", ["api_key", "worker_token", "webhook_secret"])
async def test_keys_that_would_differ_from_gateway_to_gateway_are_not_made(stores: Stores, missing: str) -> None:
    keys: dict[str, Any] = {"api_key": "k", "worker_token": "w", "webhook_secret": WEBHOOK_SECRET, missing: None}
    with pytest.raises(ValueError, match="need the same keys and secret"):
        Gateway(store=PostgresStore(stores.dsn, schema=stores.schema), **keys)
