"""Files as values in a bucket: both servers, links, one copy per content, and links that ran out."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest
import requests

from novita_sdk.files import BucketStore, File, FileError, client_store, worker_store
from novita_sdk.storage import s3
from novita_sdk.uploads import use_s3_config
from tests.support.breaking_proxy import Proxy
from tests.support.s3 import S3Server, the_bucket


@pytest.fixture
def store(server: S3Server) -> BucketStore:
    return BucketStore(the_bucket("outputs", server.creds))


def test_a_file_goes_to_the_bucket_and_comes_back(store: BucketStore, server: S3Server, tmp_path: Path) -> None:
    path = tmp_path / "häß lich.png"
    path.write_bytes(os.urandom(100_000))
    file = store.put(File.from_path(path))
    assert file.download(tmp_path / "out").read_bytes() == path.read_bytes()
    assert (file.name, file.media_type, file.size) == ("häß lich.png", "image/png", 100_000)
    assert server.head(f"files/{file.sha256}.png")["ContentType"] == "image/png"
    assert File.of(dict(file)) == file


def test_a_content_that_is_there_is_not_sent_again(store: BucketStore, server: S3Server) -> None:
    content = os.urandom(1000)
    seen: list[int] = []
    for name in ("a.bin", "b.bin"):
        file = store.put(File.from_bytes(content, name=name), on_progress=lambda done, total: seen.append(done))
    assert seen == [1000]
    assert file.name == "b.bin"
    assert file.read() == content


def test_a_link_names_the_file_for_browsers(moto_server: S3Server) -> None:
    store = BucketStore(the_bucket("outputs", moto_server.creds))
    file = store.put(File.from_bytes(b"x", name="an image.png"))
    answer = requests.get(file.url, timeout=60)
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''an%20image.png"


def test_a_download_from_a_bucket_survives_resets(
    store: BucketStore, proxy: Proxy, server: S3Server, tmp_path: Path
) -> None:
    content = os.urandom(3_000_000)
    through_proxy = BucketStore(the_bucket("outputs", server.creds | {"endpointUrl": proxy.url}))
    file = through_proxy.put(File.from_bytes(content))
    proxy.answer_503(verb=b"GET")
    proxy.cut_answer(1_000_000)
    proxy.hold(0.3, verb=b"GET")
    assert file.download(tmp_path).read_bytes() == content
    assert proxy.spoiled == 3


def test_an_expired_link_says_so(rclone_server: S3Server) -> None:
    bucket = the_bucket("outputs", rclone_server.creds)
    file = BucketStore(bucket).put(File.from_bytes(b"x"))
    (key,) = re.findall(r"files/\w+", file.url)
    file["url"] = s3.presign(bucket, key, 1)
    time.sleep(2.1)
    with pytest.raises(FileError) as caught:
        file.read()
    assert caught.value.code == "EXPIRED"
    assert "Signature" not in str(caught.value)


def test_client_and_worker_use_the_bucket_of_the_environment(bucket_env: S3Server, server: S3Server) -> None:
    assert isinstance(client_store("http://gateway", "ep", "key"), BucketStore)
    assert worker_store().put(File.from_bytes(b"x")).url.startswith(server.url)


def test_a_workers_files_go_to_the_jobs_own_bucket(server: S3Server) -> None:
    with use_s3_config(server.creds | {"bucketName": "outputs"}):
        store = worker_store()
    assert store.put(File.from_bytes(b"own")).read() == b"own"
