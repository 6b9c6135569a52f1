"""`--rp_serve_api`: a gateway on this machine, and the worker that serves it."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping
from typing import Final

import novita_worker
from novita_gateway import Gateway, serve_in_thread, worker_env
from novita_sdk.wire.hosts import is_loopback

__all__ = ["serve_api"]

_ENDPOINT: Final = "local"
_log: Final = logging.getLogger("novita_worker")


def serve_api(config: Mapping[str, object], *, host: str, port: int, concurrency: int) -> None:
    """Serves a handler at `/run`, `/runsync`, `/status/{id}` and `/stream/{id}`, until a signal ends it.

    Args:
        config: As of `novita_worker.start`.
        host: Address to listen on.
        port: 0 for a free one.
        concurrency: Jobs that run at once, where the config doesn't say.

    Raises:
        OSError: The port is taken, or the host is not one of this machine.
        ConfigError: As of `novita_worker.start`.
    """

    def make_gateway() -> Gateway:
        # They must be named where others reach the port; nobody here has to know them.
        api_key, token = secrets.token_urlsafe(), secrets.token_urlsafe()
        return Gateway(host=host, port=port, api_key=api_key, worker_token=token, open_endpoint=_ENDPOINT)

    with serve_in_thread(make_gateway) as gateway:
        near = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - where it listens, if asked to
        base = f"http://{near}:{gateway.port}"
        os.environ.update(worker_env(_ENDPOINT, url=f"{base}/v1", token=gateway.worker_token))
        _log.info("serving %s/run, %s/runsync, %s/status/ID and %s/stream/ID", base, base, base, base)
        if not is_loopback(base) or near != host:
            _log.warning("no key is asked for: everybody who reaches port %d can run jobs here", gateway.port)
        novita_worker.start({"concurrency": max(1, concurrency), **config})
