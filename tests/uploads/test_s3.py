from __future__ import annotations

import contextvars
import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import requests

from novita_sdk.uploads import UploadError, upload_bytes, upload_file, upload_image, upload_images, use_s3_config
from tests.support.breaking_proxy import Proxy
from tests.support.s3 import S3Server
from tests.support.waiting import eventually

MIB = 1 << 20


def make(path: Path, size: int) -> Path:
    block = bytes(range(256)) * 4096
    with path.open("wb") as file:
        for n in range(size // MIB):
            file.write(n.to_bytes(4, "big") + block[4:])
        file.write(block[: size % MIB])
    return path


def test_an_image_gets_a_random_name_under_its_job(bucket_env: S3Server, tmp_path: Path) -> None:
    url = upload_image("job-7", make(tmp_path / "a.jpg", 100))
    answer = requests.get(url, timeout=60)
    assert answer.content == (tmp_path / "a.jpg").read_bytes()
    assert answer.headers["Content-Type"] == "image/jpeg"
    key = next(key for key in bucket_env.keys() if key.startswith("job-7/"))  # noqa: SIM118
    assert len(key) == len("job-7/01234567.jpg")
    assert f"/{key}?" in url


def test_bytes_and_files_keep_name_prefix_and_type(bucket_env: S3Server, tmp_path: Path) -> None:
    upload_bytes("häß li.txt", b"text", prefix="pre/fix", content_type="text/x-own")
    assert bucket_env.get("pre/fix/häß li.txt") == b"text"
    assert bucket_env.head("pre/fix/häß li.txt")["ContentType"] == "text/x-own"
    url = upload_file("clip.mp4", make(tmp_path / "x", 10), prefix="j")
    assert bucket_env.head("j/clip.mp4")["ContentType"] == "video/mp4"
    assert requests.get(url, timeout=60).status_code == 200
    assert requests.get(upload_bytes("empty", b""), timeout=60).content == b""


def test_a_large_file_goes_up_in_parts_and_arrives_whole(bucket_env: S3Server, tmp_path: Path) -> None:
    big = make(tmp_path / "big.bin", 40 * MIB + 17)
    seen: list[tuple[int, int]] = []
    upload_file("big.bin", big, on_progress=lambda sent, total: seen.append((sent, total)))
    assert hashlib.sha256(bucket_env.get("big.bin")).digest() == hashlib.sha256(big.read_bytes()).digest()
    assert seen[-1] == (big.stat().st_size, big.stat().st_size)
    assert [sent for sent, _ in seen] == sorted(sent for sent, _ in seen)


def test_images_keep_their_order(bucket_env: S3Server, tmp_path: Path) -> None:
    paths = [make(tmp_path / f"{n}.png", 10 + n) for n in range(10)]
    done: list[tuple[int, int]] = []
    urls = upload_images("order", paths, on_progress=lambda count, total: done.append((count, total)))
    assert [len(requests.get(url, timeout=60).content) for url in urls] == [10 + n for n in range(10)]
    assert done == [(n, 10) for n in range(1, 11)]
    assert upload_images("order", []) == []


def test_images_that_fail_are_raised_and_the_others_are_there(bucket_env: S3Server, tmp_path: Path) -> None:
    good = make(tmp_path / "good.png", 5)
    with pytest.raises(UploadError, match=r"1 of 3 images.*gone\.png") as caught:
        upload_images("mixed", [good, tmp_path / "gone.png", good])
    assert isinstance(caught.value.failed[str(tmp_path / "gone.png")], FileNotFoundError)
    assert len([key for key in bucket_env.keys() if key.startswith("mixed/")]) == 2  # noqa: SIM118


def test_credentials_of_the_call_are_used(server: S3Server) -> None:
    url = upload_bytes("by-creds", b"x", bucket_name="outputs", bucket_creds=server.creds)
    assert requests.get(url, timeout=60).content == b"x"


def test_the_jobs_own_bucket_is_used_also_in_its_threads(server: S3Server) -> None:
    urls: list[str] = []
    with use_s3_config(server.creds | {"bucketName": "outputs"}):
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: urls.append(context.run(upload_bytes, "in-thread", b"x")))
        thread.start()
        thread.join()
    assert server.get("in-thread") == b"x"
    assert urls[0].startswith(server.url)


def test_a_link_expires(rclone_server: S3Server) -> None:
    url = upload_bytes("soon", b"x", "outputs", bucket_creds=rclone_server.creds, expires_in=1)
    eventually(lambda: requests.get(url, timeout=60).status_code != 200)
    assert requests.get(url, timeout=60).status_code in {400, 403}


@pytest.mark.parametrize(
    ("change", "code", "advice"),
    [
        ({"accessSecret": "wrong-secret"}, "SignatureDoesNotMatch", "BUCKET_SECRET_ACCESS_KEY"),
        ({"accessId": "UNKNOWNKEY"}, "InvalidAccessKeyId", "BUCKET_ACCESS_KEY_ID"),
    ],
)
def test_wrong_credentials_are_told_apart(
    rclone_server: S3Server, change: dict[str, str], code: str, advice: str
) -> None:
    with pytest.raises(UploadError, match=advice) as caught:
        upload_bytes("x", b"x", "outputs", bucket_creds=rclone_server.creds | change)
    assert caught.value.code == code
    assert rclone_server.creds["accessSecret"] not in str(caught.value)
    assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize("size", [10, 20 * MIB])
def test_a_missing_bucket_is_named(server: S3Server, tmp_path: Path, size: int) -> None:
    with pytest.raises(UploadError, match=r"'nowhere'.*no such bucket") as caught:
        upload_file("x", make(tmp_path / "f", size), "nowhere", bucket_creds=server.creds)
    assert caught.value.code == "NoSuchBucket"


def test_an_endpoint_that_does_not_answer_is_named(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        creds = {"endpointUrl": f"http://127.0.0.1:{taken.getsockname()[1]}", "accessId": "a", "accessSecret": "b"}
        with pytest.raises(UploadError, match=r"127\.0\.0\.1") as caught:
            upload_bytes("x", b"x", "b", bucket_creds=creds)
    assert caught.value.code == "Unreachable"


def test_a_503_is_retried(server: S3Server, proxy: Proxy) -> None:
    proxy.answer_503(times=2)
    upload_bytes("after-503", b"x", "outputs", bucket_creds=server.creds | {"endpointUrl": proxy.url})
    assert server.get("after-503") == b"x"
    assert proxy.spoiled == 2


def test_a_connection_reset_in_the_middle_of_a_part_is_retried(server: S3Server, proxy: Proxy, tmp_path: Path) -> None:
    big = make(tmp_path / "big.bin", 40 * MIB + 3)
    proxy.reset_after(3 * MIB)
    proxy.reset_after(5 * MIB)
    upload_file("after-reset", big, "outputs", bucket_creds=server.creds | {"endpointUrl": proxy.url})
    assert hashlib.sha256(server.get("after-reset")).digest() == hashlib.sha256(big.read_bytes()).digest()
    assert proxy.spoiled == 2


def test_a_store_that_is_full_says_so(server: S3Server, proxy: Proxy) -> None:
    proxy.answer(507, b"InsufficientStorage")
    with pytest.raises(UploadError, match="the store's disk is full"):
        upload_bytes("x", b"x", "outputs", bucket_creds=server.creds | {"endpointUrl": proxy.url})


def test_a_slow_store_is_waited_for(server: S3Server, proxy: Proxy) -> None:
    proxy.hold(0.5)
    upload_bytes("after-wait", b"x", "outputs", bucket_creds=server.creds | {"endpointUrl": proxy.url})
    assert server.get("after-wait") == b"x"


def test_importing_and_saving_locally_does_not_load_boto3(tmp_path: Path) -> None:
    script = (
        "import sys; from novita_sdk.uploads import upload_bytes; upload_bytes('x', b'x');"
        "assert not {'boto3', 'botocore', 's3transfer', 'requests'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)


def test_a_large_file_uploads_in_constant_memory(rclone_server: S3Server, tmp_path: Path) -> None:
    script = """
import resource, sys
from novita_sdk.uploads import upload_file, upload_bytes
creds = dict(endpointUrl=sys.argv[1], accessId=sys.argv[2], accessSecret=sys.argv[3])
upload_bytes("warm", b"x" * 100, "outputs", bucket_creds=creds)
upload_file("warm-big", sys.argv[4], "outputs", bucket_creds=creds)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
upload_file("large", sys.argv[5], "outputs", bucket_creds=creds)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    small, large = tmp_path / "small.bin", tmp_path / "large.bin"
    for path, size in ((small, 32 * MIB), (large, 160 * MIB)):
        with path.open("wb") as file:
            file.truncate(size)
    creds = rclone_server.creds
    result = subprocess.run(
        [sys.executable, "-c", script, creds["endpointUrl"], creds["accessId"], creds["accessSecret"], small, large],
        check=True,
        capture_output=True,
        text=True,
    )
    grown_kib = int(result.stdout)
    assert grown_kib < 16 * 1024, f"160 MiB after 32 MiB grew the process by {grown_kib} KiB"
