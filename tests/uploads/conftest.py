"""Two S3 servers that know nothing of each other, and a proxy that breaks connections."""

from __future__ import annotations

import logging
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

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

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )

    def get(self, key: str, bucket: str = BUCKET) -> bytes:
        return self.client().get_object(Bucket=bucket, Key=key)["Body"].read()

    def head(self, key: str, bucket: str = BUCKET) -> dict:
        return self.client().head_object(Bucket=bucket, Key=key)

    def keys(self, bucket: str = BUCKET) -> list[str]:
        return [entry["Key"] for entry in self.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int, timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="session")
def moto_server() -> Iterator[S3Server]:
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    server = S3Server(name="moto", url=f"http://{host}:{port}")
    server.client().create_bucket(Bucket=BUCKET)
    yield server
    running.stop()


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    root = tmp_path_factory.mktemp("rclone")
    (root / "data" / BUCKET).mkdir(parents=True)
    port = free_port()
    process = subprocess.Popen(
        [
            Path(sys.executable).with_name("rclone"),
            "serve",
            "s3",
            f"--addr=127.0.0.1:{port}",
            f"--auth-key={ACCESS_KEY},{SECRET_KEY}",
            f"--config={root / 'none.conf'}",
            root / "data",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield S3Server(name="rclone", url=f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> S3Server:
    return request.getfixturevalue(f"{request.param}_server")


class Proxy:
    """Forwards TCP connections, and spoils the first ones that start with a request it was told to spoil."""

    def __init__(self, port: int, upstream: tuple[str, int]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.upstream = upstream
        self.spoiled = 0
        self._faults: list[tuple[bytes, Callable[[socket.socket, bytes], bool]]] = []

    def spoil(self, client: socket.socket, head: bytes) -> bool:
        """Whether a fault was played instead of the request."""
        for fault in self._faults:
            verb, act = fault
            if head.startswith(verb):
                self._faults.remove(fault)
                self.spoiled += 1
                return act(client, head)
        return False

    def answer_503(self, times: int = 1, verb: bytes = b"PUT") -> None:
        self.answer(503, b"SlowDown", times, verb)

    def answer(self, status: int, code: bytes, times: int = 1, verb: bytes = b"PUT") -> None:
        def act(client: socket.socket, head: bytes) -> bool:
            body = b"<Error><Code>%s</Code><Message>not now</Message></Error>" % code
            client.sendall(b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
            client.sendall(body)
            client.shutdown(socket.SHUT_WR)
            drain(client, 1 << 40)
            return True

        self._faults += [(verb, act)] * times

    def reset_after(self, count: int, verb: bytes = b"PUT") -> None:
        """Reads `count` bytes of the request's body and resets the connection."""

        def act(client: socket.socket, head: bytes) -> bool:
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            drain(client, count)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return True

        self._faults.append((verb, act))

    def cut_answer(self, count: int, verb: bytes = b"GET") -> None:
        """Lets `count` bytes of the answer through and resets the connection."""

        def act(client: socket.socket, head: bytes) -> bool:
            with socket.create_connection(self.upstream) as server:
                server.sendall(head)
                left = count
                while left > 0 and (chunk := server.recv(min(left, 65536))):
                    client.sendall(chunk)
                    left -= len(chunk)
            time.sleep(0.1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return True

        self._faults.append((verb, act))

    def hold(self, seconds: float, verb: bytes = b"PUT") -> None:
        """Lets the request through after a while."""

        def act(client: socket.socket, head: bytes) -> bool:
            time.sleep(seconds)
            return False

        self._faults.append((verb, act))


def drain(client: socket.socket, count: int) -> None:
    with suppress(OSError):
        while count > 0 and (chunk := client.recv(min(count, 65536))):
            count -= len(chunk)


@contextmanager
def run_proxy(target: str) -> Iterator[Proxy]:
    upstream = ("127.0.0.1", int(target.rpartition(":")[2]))
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(listener.getsockname()[1], upstream)

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while chunk := source.recv(65536):
                sink.sendall(chunk)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve(client: socket.socket) -> None:
        # Either side may be gone at any time: that is what the proxy is for.
        with client, suppress(OSError):
            head = client.recv(65536)
            if not head:
                return
            if proxy.spoil(client, head):
                return
            with socket.create_connection(upstream) as server:
                server.sendall(head)
                back = threading.Thread(target=pump, args=(server, client))
                back.start()
                pump(client, server)
                back.join()

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()


@pytest.fixture
def proxy(server: S3Server) -> Iterator[Proxy]:
    with run_proxy(server.url) as running:
        yield running


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No bucket, no platform, and a working directory of the test's own."""
    for name in (
        "BUCKET_ENDPOINT_URL",
        "BUCKET_ACCESS_KEY_ID",
        "BUCKET_SECRET_ACCESS_KEY",
        "BUCKET_NAME",
        "BUCKET_REGION",
        "NOVITA_FILES_URL",
        "NOVITA_WEBHOOK_GET_JOB",
        "RUNPOD_WEBHOOK_GET_JOB",
    ):
        monkeypatch.delenv(name, raising=False)
    workdir = tmp_path / "cwd"
    workdir.mkdir()
    monkeypatch.chdir(workdir)


@pytest.fixture
def bucket_env(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    monkeypatch.setenv("BUCKET_ENDPOINT_URL", server.url)
    monkeypatch.setenv("BUCKET_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("BUCKET_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("BUCKET_NAME", BUCKET)
    return server
