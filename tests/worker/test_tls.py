"""The platform is reached over TLS: by the worker, and by its heartbeat, which has an HTTP client of its own."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.support.certificates import server_context
from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn

WORKER = 'start({"handler": lambda job: job["input"]})'


def test_jobs_and_pings_go_over_tls(spawn: Spawn, certificate: Path) -> None:
    with WorkerGateway(server_context(certificate)) as gateway:
        spawn(WORKER, environ={**gateway.environ(), "SSL_CERT_FILE": str(certificate)})
        assert gateway.result(gateway.submit({"a": 1})) == {"output": {"a": 1}}
        gateway.wait_for(lambda: gateway.of("ping"))


# asyncio leaves the transport of a TLS handshake that the peer broke off to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_certificate_that_nobody_vouches_for_gets_no_key(spawn: Spawn, certificate: Path) -> None:
    with WorkerGateway(server_context(certificate)) as gateway:
        worker = spawn(WORKER, environ=gateway.environ())
        worker.wait_for_log("certificate verify failed")
        assert gateway.requests == []
    gc.collect()
