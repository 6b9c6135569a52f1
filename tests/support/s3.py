"""Two S3 servers that know nothing of each other."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from novita_sdk.storage.places import Bucket, configured_bucket
from tests.support.processes import free_port, wait_for_port
from tests.support.waiting import DEADLINE

ACCESS_KEY = "ACCESSKEY123"
SECRET_KEY = "a-secret-that-must-not-be-seen"
BUCKET = "outputs"


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """A running server with one empty bucket."""

    name: str
    url: str

    @property
    def creds(self) -> dict[str, str]:
        return {"endpointUrl": self.url, "accessId": ACCESS_KEY, "accessSecret": SECRET_KEY}

    def client(self) -> Any:
        """boto3's, which ships no types."""
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )

    def get(self, key: str, bucket: str = BUCKET) -> bytes:
        content: bytes = self.client().get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    def head(self, key: str, bucket: str = BUCKET) -> Mapping[str, Any]:
        """What S3 says of an object."""
        found: Mapping[str, Any] = self.client().head_object(Bucket=bucket, Key=key)
        return found

    def keys(self, bucket: str = BUCKET) -> list[str]:
        return [entry["Key"] for entry in self.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


@contextmanager
def moto() -> Iterator[S3Server]:
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    server = S3Server(name="moto", url=f"http://{host}:{port}")
    server.client().create_bucket(Bucket=BUCKET)
    yield server
    running.stop()


@contextmanager
def rclone(folder: Path) -> Iterator[S3Server]:
    (folder / "data" / BUCKET).mkdir(parents=True)
    port = free_port()
    command: list[str | Path] = [
        Path(sys.executable).with_name("rclone"),
        "serve",
        "s3",
        f"--addr=127.0.0.1:{port}",
        f"--auth-key={ACCESS_KEY},{SECRET_KEY}",
        f"--config={folder / 'none.conf'}",
        folder / "data",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield S3Server(name="rclone", url=f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(DEADLINE)


def name_bucket(monkeypatch: pytest.MonkeyPatch, server: S3Server) -> None:
    """Names the server's bucket in the environment, as a worker's user does."""
    monkeypatch.setenv("BUCKET_ENDPOINT_URL", server.url)
    monkeypatch.setenv("BUCKET_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("BUCKET_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("BUCKET_NAME", BUCKET)


def the_bucket(name: str | None, creds: Mapping[str, object] | None) -> Bucket:
    """The bucket that arguments and environment name; there is one."""
    bucket = configured_bucket(name, creds)
    assert bucket is not None
    return bucket
