"""The environment of a worker: all that a platform tells it, in variables.

The platform runs images made for either published package: the `NOVITA_*` names count, and the `RUNPOD_*` names where
only those are set.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from novita_sdk._network import BUNDLES
from novita_worker._errors import ConfigError

if TYPE_CHECKING:
    from novita_sdk.wire.worker_urls import WorkerUrls

__all__ = ["IS_HEARTBEAT", "Environment", "is_worker_environment", "read_environment", "read_text"]

DEFAULT_PING_INTERVAL: Final = 10.0
MIN_PING_INTERVAL: Final = 1.0
MAX_PING_INTERVAL: Final = 3600.0
IS_HEARTBEAT: Final = "NOVITA_IS_HEARTBEAT"
"""Set where the worker starts its heartbeat: a program that finds it is no Python and starts no worker."""
_PLACEHOLDER: Final = re.compile(r"<[^<>]*>|\$?\{+[^{}]*\}+|your[-_ ].*|change[-_]?me|x{3,}|\.{3}|…", re.IGNORECASE)
_NO_URL: Final = re.compile(r"[\s<>{}\"'`\\]")
_VERSION: Final = re.compile(r"/v\d+/")
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
        prefix: What the names of the variables begin with.
        doubts: What may be wrong with them, to be logged.
    """

    templates: Mapping[str, str]
    worker_id: str
    hostname: str
    authorization: str = field(repr=False)
    ping_interval: float
    spool_dir: str | None = None
    prefix: str = _PREFIXES[0]
    doubts: tuple[str, ...] = ()

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
    """Reads the variables of a worker. Space around a value, and the line break of a file, is no part of it.

    Raises:
        ConfigError: A variable is missing or makes no sense; the message names it.
    """
    prefix = _prefix(environ)
    if prefix is None:
        raise ConfigError("NOVITA_WEBHOOK_GET_JOB is not set: this is not a worker environment")
    doubts: list[str] = []
    templates = {
        route: _template(f"{prefix}_WEBHOOK_{name}", environ, doubts)
        for route, name in (("take", "GET_JOB"), ("done", "POST_OUTPUT"), ("stream", "POST_STREAM"), ("ping", "PING"))
    }
    if not templates["done"]:
        raise ConfigError(f"{prefix}_WEBHOOK_POST_OUTPUT is not set: there is nowhere to send a result")
    if any(template.startswith("https:") for template in templates.values()):
        _check_certificates(environ)
    return Environment(
        templates=templates,
        worker_id=_worker_id(f"{prefix}_POD_ID", environ),
        hostname=read_text(f"{prefix}_POD_HOSTNAME", environ) or "unknown",
        authorization=_authorization(f"{prefix}_AI_API_KEY", environ),
        ping_interval=_ping_interval(f"{prefix}_PING_INTERVAL", environ, doubts),
        spool_dir=read_text("NOVITA_SPOOL_DIR", environ) or None,
        prefix=prefix,
        doubts=tuple(doubts),
    )


def read_text(name: str, environ: Mapping[str, str]) -> str:
    """The value of a variable; empty where there is none.

    Raises:
        ConfigError: It is in quotes, a placeholder, or holds what no value has; the message names it without the value.
    """
    value = environ.get(name, "").strip()
    if value[:1] in {'"', "'"} or value[-1:] in {'"', "'"}:
        raise ConfigError(f"{name} is in quotes, which env files keep: write {name}=… without them")
    if not value.isprintable():
        raise ConfigError(f"{name} holds a line break or another character that can't be printed: write it again")
    if _PLACEHOLDER.fullmatch(value):
        raise ConfigError(f"{name} is a placeholder: nothing was filled in")
    return value


def _prefix(environ: Mapping[str, str]) -> str | None:
    return next((prefix for prefix in _PREFIXES if environ.get(f"{prefix}_WEBHOOK_GET_JOB", "").strip()), None)


def _template(name: str, environ: Mapping[str, str], doubts: list[str]) -> str:
    value = read_text(name, environ)
    if not value:
        return ""
    try:
        url = urlsplit(value)
        is_url = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # the port is no number
        is_url = False
    if not is_url:
        raise ConfigError(f"{name} is not an http or https URL")
    if found := _NO_URL.search(value):
        raise ConfigError(f"{name} holds {found.group()!r}, which no URL has: a placeholder may be left in it")
    if name.endswith("GET_JOB") and not _VERSION.search(url.path):
        doubts.append(f"{name} has no API version, as in https://host/v1/…; if takes are refused, that is why")
    if name.endswith(("POST_OUTPUT", "POST_STREAM")) and "$ID" not in value:
        doubts.append(f"{name} has no $ID, so that a post can't say whose it is: a shell may have expanded it")
    return value


def _check_certificates(environ: Mapping[str, str]) -> None:
    """Only the first of these variables counts."""
    name = next((name for name in BUNDLES if environ.get(name, "").strip()), None)
    if name is not None and not Path(environ[name].strip()).exists():
        raise ConfigError(f"{name} names {environ[name].strip()!r}, and there is no such file or folder")


def _worker_id(name: str, environ: Mapping[str, str]) -> str:
    value = read_text(name, environ) or uuid.uuid4().hex
    if " " in value:
        raise ConfigError(f"{name} is {value!r}, and no worker's id has a space")
    return value


def _authorization(name: str, environ: Mapping[str, str]) -> str:
    """The key as it stands, without the line break that a secret's file may end with: no header can hold that."""
    key = read_text(name, environ)
    read_text(name, {name: key.removeprefix("Bearer ")})  # which may be a placeholder, or in quotes
    return key


def _ping_interval(name: str, environ: Mapping[str, str], doubts: list[str]) -> float:
    """The variable is in milliseconds; a value under a second would stop the published heartbeat for good."""
    value = read_text(name, environ)
    try:
        seconds = int(value) / 1000
    except (ValueError, OverflowError):
        if value:
            doubts.append(f"{name} is not a number of milliseconds: {value[:40]!r}; {DEFAULT_PING_INTERVAL:g} s it is")
        return DEFAULT_PING_INTERVAL
    within = min(MAX_PING_INTERVAL, max(MIN_PING_INTERVAL, seconds))
    if within != seconds:
        doubts.append(f"{name} is {value[:40]} ms; {within:g} s it is")
    return within
