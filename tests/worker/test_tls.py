"""The platform is reached over TLS: by the worker, and by its heartbeat, which has an HTTP client of its own."""

from __future__ import annotations

import gc
import ssl
from pathlib import Path
from typing import Any

import pytest

WORKER = 'start({"handler": lambda job: job["input"]})'


def test_jobs_and_pings_go_over_tls(scripted: Any, spawn: Any, certificate: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with scripted(tls) as gateway:
        spawn(WORKER, environ={**gateway.environ(), "SSL_CERT_FILE": str(certificate)})
        assert gateway.result(gateway.submit({"a": 1})) == {"output": {"a": 1}}
        gateway.wait_for(lambda: gateway.of("ping"))


# asyncio leaves the transport of a TLS handshake that the peer broke off to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_certificate_that_nobody_vouches_for_gets_no_key(scripted: Any, spawn: Any, certificate: Path) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    with scripted(tls) as gateway:
        worker = spawn(WORKER, environ=gateway.environ())
        worker.wait_for_log("certificate verify failed")
        assert gateway.requests == []
    gc.collect()
