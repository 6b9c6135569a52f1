"""The place of a process's files: the bucket of the call, the job or the environment, else the gateway's store."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from novita_sdk._environment import variables
from novita_sdk.storage.errors import UploadError
from novita_sdk.storage.s3_endpoints import region_of

__all__ = [
    "FILES_URL_VARIABLE",
    "Bucket",
    "GatewayFiles",
    "Place",
    "client_place",
    "configured_bucket",
    "missing_variables",
    "refuse_on_platform",
    "set_s3_config",
    "use_s3_config",
    "worker_place",
]

FILES_URL_VARIABLE: Final = "NOVITA_FILES_URL"
"""Where a worker announces its files, in an environment that a gateway with a store of its own made."""

# Key, secret, endpoint and region, in the words of each source.
_IN_CREDS = ("accessId", "accessSecret", "endpointUrl", "region")
_IN_ENVIRONMENT = ("BUCKET_ACCESS_KEY_ID", "BUCKET_SECRET_ACCESS_KEY", "BUCKET_ENDPOINT_URL", "BUCKET_REGION")
_ON_PLATFORM = ("NOVITA_WEBHOOK_GET_JOB", "RUNPOD_WEBHOOK_GET_JOB")

_job_credentials: ContextVar[Mapping[str, object] | None] = ContextVar("novita_job_credentials", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket and how to get in. Equal settings share a connection pool."""

    name: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    endpoint_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFiles:
    """The file store of a gateway, and how to get in.

    Attributes:
        url: Where files are announced.
        authorization: Value of the ``Authorization`` header.
    """

    url: str
    authorization: str = field(repr=False)


Place: TypeAlias = Bucket | GatewayFiles


def client_place(base_url: str, endpoint: str, api_key: str) -> Place:
    """Where a client puts the files of inputs: its bucket if the environment names one, else the gateway.

    Raises:
        UploadError: Credentials are incomplete.
    """
    return configured_bucket() or GatewayFiles(url=f"{base_url}/{endpoint}/files", authorization=f"Bearer {api_key}")


def worker_place(bucket_name: str | None = None, bucket_creds: Mapping[str, object] | None = None) -> Place | None:
    """Where a worker puts its files, or None where it has no place.

    Args:
        bucket_name: The bucket of the call.
        bucket_creds: Its credentials; left out, the bucket of the running job counts, then the environment's, then the
            gateway that `FILES_URL_VARIABLE` names.

    Raises:
        UploadError: Credentials are incomplete.
    """
    if bucket := configured_bucket(bucket_name, bucket_creds):
        return bucket
    found = variables()
    if not (url := found.get(FILES_URL_VARIABLE)):
        return None
    key = found.get("NOVITA_AI_API_KEY") or found.get("RUNPOD_AI_API_KEY") or ""
    return GatewayFiles(url=url, authorization=key)


def set_s3_config(s3_config: Mapping[str, object] | None) -> None:
    """Sends further uploads of this context to the bucket that a job brought along; see `use_s3_config`.

    For code that runs in a context of its own, as a job of a worker does.
    """
    _job_credentials.set(s3_config or _job_credentials.get())


@contextmanager
def use_s3_config(s3_config: Mapping[str, object] | None) -> Iterator[None]:
    """Sends uploads of this context to the bucket that a job brought along.

    Threads that run with a copy of the context see it too.

    Args:
        s3_config: The job's ``s3Config``: endpointUrl, accessId, accessSecret, bucketName, region. None keeps what
            was in force.
    """
    token = _job_credentials.set(s3_config or _job_credentials.get())
    try:
        yield
    finally:
        _job_credentials.reset(token)


def configured_bucket(
    bucket_name: str | None = None, bucket_creds: Mapping[str, object] | None = None
) -> Bucket | None:
    """The bucket of the arguments, of the running job or of the environment, or None where no one names any.

    Raises:
        UploadError: Credentials are incomplete.
    """
    if bucket_creds:
        return _bucket(bucket_name, bucket_creds, "bucket_creds")
    if of_job := _job_credentials.get():
        return _bucket(bucket_name, of_job, "the job's s3Config")
    if missing_variables():
        return None
    of_worker = {key: os.environ.get(name) for key, name in zip(_IN_CREDS, _IN_ENVIRONMENT, strict=True)}
    return _bucket(bucket_name, of_worker, "the environment")


def refuse_on_platform() -> None:
    """Refuses to keep a file on this machine where that is a platform worker.

    Raises:
        UploadError: Names the variables that are missing.
    """
    if any(os.environ.get(name) for name in _ON_PLATFORM):
        raise UploadError(
            f"this worker has no bucket to upload to: set {' and '.join(missing_variables())} in the endpoint's "
            "environment, or submit the job with an s3Config",
            code="NotConfigured",
        )


def missing_variables() -> list[str]:
    """Names of the environment variables that stand between this process and its bucket."""
    return _missing(os.environ, _IN_ENVIRONMENT)


def _missing(source: Mapping[str, object], names: tuple[str, str, str, str]) -> list[str]:
    *keys, endpoint, region = names
    missing = [name for name in keys if not source.get(name)]
    if not source.get(endpoint) and not source.get(region):
        missing.append(f"{endpoint} (on AWS, {region} is enough)")
    return missing


def _bucket(bucket_name: str | None, creds: Mapping[str, object], source: str) -> Bucket:
    if not isinstance(creds, Mapping):
        raise UploadError(f"{source} must be an object, not {type(creds).__name__}", code="InvalidSettings")
    if missing := _missing(creds, _IN_CREDS):
        raise UploadError(f"{source} lacks {' and '.join(missing)}", code="InvalidSettings")
    texts: dict[str, str] = {}
    for key in (*_IN_CREDS, "bucketName"):
        value = creds.get(key) or ""
        if not isinstance(value, str):
            raise UploadError(f"{key} in {source} must be text, not {type(value).__name__}", code="InvalidSettings")
        texts[key] = value.strip()
    endpoint_url = texts["endpointUrl"] or None
    if endpoint_url and not _is_url(endpoint_url):
        raise UploadError(
            f"the endpoint in {source} must be a URL such as https://s3.us-east-1.amazonaws.com",
            code="InvalidSettings",
        )
    return Bucket(
        name=bucket_name or texts["bucketName"] or os.environ.get("BUCKET_NAME") or time.strftime("%Y-%m"),
        region=texts["region"] or region_of(endpoint_url or ""),
        access_key_id=texts["accessId"],
        secret_access_key=texts["accessSecret"],
        endpoint_url=endpoint_url,
    )


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    # boto shows an endpoint in its errors, a password or a key in it too.
    is_plain = port != 0 and "@" not in parts.netloc and not parts.query
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and is_plain
