"""What the tests of every part share: a clean environment, and a real gateway on a real socket."""

from __future__ import annotations

import datetime
import ipaddress
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import settings

from novita_gateway import Gateway, serve_in_thread
from novita_sdk import Client

# The same examples in every run; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

# A suite that was started in the background ignores SIGINT, and so would the processes of the tests that press Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

OWN_VARIABLES = ("NOVITA_", "RUNPOD_", "BUCKET_", "AWS_", "PYTHONUNBUFFERED")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the developer's reaches a test."""
    for name in list(os.environ):
        if name.startswith(OWN_VARIABLES):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def gateway() -> Iterator[Gateway]:
    """A gateway with an in-memory store; tests use endpoints of their own."""
    with serve_in_thread() as running:
        yield running


@pytest.fixture(scope="session")
def plain_environment() -> dict[str, str]:
    """The environment for child processes: this one without what a developer may have set."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}


class WorkerRunner(Protocol):
    """Runs a worker's script as a process while a block lasts, and sees that it ends cleanly."""

    def __call__(
        self, script: Path, endpoint: str, *, gateway: Gateway | None = None, cwd: Path | None = None
    ) -> AbstractContextManager[subprocess.Popen[bytes]]: ...


def wait_for_worker(process: subprocess.Popen[bytes], gateway: Gateway, endpoint: str) -> None:
    """Returns when a worker has asked for jobs, or its process is over."""
    deadline = time.monotonic() + 60
    with Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        while process.poll() is None and not any(client.endpoint(endpoint).health()["workers"].values()):
            assert time.monotonic() < deadline, f"no worker of {endpoint} came"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def run_worker(
    gateway: Gateway, plain_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> WorkerRunner:
    """Runs real worker processes, against the session's gateway where no other is named."""
    of_session = gateway

    @contextmanager
    def run(
        script: Path, endpoint: str, *, gateway: Gateway | None = None, cwd: Path | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        served = gateway or of_session
        process = subprocess.Popen(
            [sys.executable, script],
            env={**plain_environment, **served.worker_env(endpoint)},
            cwd=cwd or tmp_path_factory.mktemp("worker"),
        )
        try:
            yield process
        finally:
            # A test may be over before the worker has begun to listen to signals.
            wait_for_worker(process, served, endpoint)
            process.terminate()
            assert process.wait(15) == 0, f"{script.name} did not end cleanly"

    return run


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(hours=1))
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(addresses, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = tmp_path / "gateway.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM) + private)
    return path
