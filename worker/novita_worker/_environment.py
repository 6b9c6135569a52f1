"""The environment of a worker: all that a platform tells it, in variables.

The platform runs images made for either published package: the `NOVITA_*` names count, and the `RUNPOD_*` names where
only those are set.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from novita_worker._errors import ConfigError

if TYPE_CHECKING:
    from novita_sdk.wire.worker_urls import WorkerUrls

__all__ = ["IS_HEARTBEAT", "Environment", "is_worker_environment", "read_environment"]

DEFAULT_PING_INTERVAL: Final = 10.0
MIN_PING_INTERVAL: Final = 1.0
MAX_PING_INTERVAL: Final = 3600.0
IS_HEARTBEAT: Final = "NOVITA_IS_HEARTBEAT"
"""Set where the worker starts its heartbeat: a program that finds it is no Python and starts no worker."""
_PREFIXES: Final = ("NOVITA", "RUNPOD")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a worker's gateway is and who the worker is.

    Attributes:
        templates: The worker's routes: take, done, stream and ping.
        worker_id: From `NOVITA_POD_ID`, or made up.
        hostname: From `NOVITA_POD_HOSTNAME`; part of a failed job's error.
        authorization: Value of the Authorization header, sent as given.
        ping_interval: Seconds between two heartbeats.
        spool_dir: Where results are kept until they are delivered, or None.
    """

    templates: Mapping[str, str]
    worker_id: str
    hostname: str
    authorization: str = field(repr=False)
    ping_interval: float
    spool_dir: str | None = None

    @property
    def urls(self) -> WorkerUrls:
        """The worker's routes."""
        return self.urls_of(self.worker_id)

    def urls_of(self, worker_id: str) -> WorkerUrls:
        """The routes of a worker that ran here before."""
        # Here, because it loads protobuf, which importing the worker must not.
        from novita_sdk.wire.worker_urls import WorkerUrls

        return WorkerUrls.from_templates(worker_id=worker_id, **self.templates)


def is_worker_environment(environ: Mapping[str, str]) -> bool:
    """Whether a platform started this process."""
    return _prefix(environ) is not None


def read_environment(environ: Mapping[str, str]) -> Environment:
    """Reads the variables of a worker.

    Raises:
        ConfigError: A variable is missing or makes no sense; the message names it.
    """
    prefix = _prefix(environ)
    if prefix is None:
        raise ConfigError("NOVITA_WEBHOOK_GET_JOB is not set: this is not a worker environment")
    worker_id = environ.get(f"{prefix}_POD_ID") or uuid.uuid4().hex
    done = environ.get(f"{prefix}_WEBHOOK_POST_OUTPUT", "")
    if not done:
        raise ConfigError(f"{prefix}_WEBHOOK_POST_OUTPUT is not set: there is nowhere to send a result")
    for name in ("GET_JOB", "POST_OUTPUT", "POST_STREAM", "PING"):
        _check_url(f"{prefix}_WEBHOOK_{name}", environ.get(f"{prefix}_WEBHOOK_{name}", ""))
    return Environment(
        templates={
            "take": environ[f"{prefix}_WEBHOOK_GET_JOB"],
            "done": done,
            "stream": environ.get(f"{prefix}_WEBHOOK_POST_STREAM", ""),
            "ping": environ.get(f"{prefix}_WEBHOOK_PING", ""),
        },
        worker_id=worker_id,
        hostname=environ.get(f"{prefix}_POD_HOSTNAME", "unknown"),
        authorization=_authorization(f"{prefix}_AI_API_KEY", environ),
        ping_interval=_ping_interval(environ.get(f"{prefix}_PING_INTERVAL", "")),
        spool_dir=environ.get("NOVITA_SPOOL_DIR") or None,
    )


def _prefix(environ: Mapping[str, str]) -> str | None:
    return next((prefix for prefix in _PREFIXES if environ.get(f"{prefix}_WEBHOOK_GET_JOB")), None)


def _check_url(name: str, value: str) -> None:
    if value and not value.startswith(("http://", "https://")):
        raise ConfigError(f"{name} is not an http or https URL")


def _authorization(name: str, environ: Mapping[str, str]) -> str:
    """The key as it stands, without the line break that a secret's file may end with: no header can hold that."""
    key = environ.get(name, "").strip()
    if not key.isprintable():
        raise ConfigError(f"{name} holds a line break or another character that no key has")
    return key


def _ping_interval(milliseconds: str) -> float:
    """The variable is in milliseconds; a value under a second would stop the published heartbeat for good."""
    try:
        seconds = int(milliseconds) / 1000
    except (ValueError, OverflowError):
        return DEFAULT_PING_INTERVAL
    return min(MAX_PING_INTERVAL, max(MIN_PING_INTERVAL, seconds))
