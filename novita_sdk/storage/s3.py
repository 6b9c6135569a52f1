"""Objects in an S3 bucket, over boto3, which loads at the first transfer."""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Protocol
from urllib.parse import quote

from novita_sdk.storage.errors import UploadError
from novita_sdk.storage.places import Bucket
from novita_sdk.storage.s3_endpoints import host_of, is_aws

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig
    from boto3.session import Session
    from botocore.config import Config

MIB = 1024 * 1024
PART_SIZE = 16 * MIB
CONCURRENCY = 8
MAX_EXPIRES_IN = 7 * 24 * 3600
MAX_CLIENTS = 16

_ATTEMPTS = 6
_CONNECT_TIMEOUT = 10
_READ_TIMEOUT = 60


class _S3Client(Protocol):
    """The part of boto3's client that uploads use."""

    def upload_fileobj(self, source: BinaryIO, bucket: str, key: str, **options: object) -> None: ...
    def upload_file(self, path: str, bucket: str, key: str, **options: object) -> None: ...
    def head_object(self, **options: object) -> dict[str, object]: ...
    def generate_presigned_url(self, operation: str, **options: object) -> str: ...


class ByteCounter:
    """Adds up what the threads of a transfer report, and passes on the sums in order.

    Args:
        total: Bytes in all.
        on_progress: Called with bytes done and bytes in all, one call at a time.
    """

    def __init__(self, total: int, on_progress: Callable[[int, int], None]) -> None:
        self._total = total
        self._on_progress = on_progress
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        """Counts so many bytes more."""
        with self._lock:
            self._done += count
            self._on_progress(self._done, self._total)


def put(
    bucket: Bucket,
    key: str,
    source: str | BinaryIO,
    *,
    content_type: str,
    on_bytes: Callable[[int], None] | None = None,
    extra_args: Mapping[str, object] | None = None,
) -> None:
    """Uploads a file (by path) or bytes; large ones in parallel parts, each retried for itself.

    Args:
        bucket: Where to.
        key: The object's key.
        source: A path, read part by part, or an open binary file that can seek.
        content_type: The media type that downloads get.
        on_bytes: Called from the transfer's threads with the bytes that went out since the last call; a part that is
            sent again counts backwards first.
        extra_args: Further arguments of S3, such as `ACL` or `Metadata`; they win over the media type.

    Raises:
        UploadError: The store refused or could not be reached.
        OSError: The local file could not be read.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    options = {
        "ExtraArgs": {"ContentType": content_type, **(extra_args or {})},
        "Config": transfer_config(),
        "Callback": on_bytes,
    }
    client = client_for(bucket)
    try:
        if isinstance(source, str):
            client.upload_file(source, bucket.name, key, **options)
        else:
            client.upload_fileobj(source, bucket.name, key, **options)
    except (Boto3Error, BotoCoreError, ClientError) as error:
        raise _explain(error, bucket, key) from error


def transfer_config() -> TransferConfig:
    """How files are moved: large ones in parallel parts."""
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=PART_SIZE, multipart_chunksize=PART_SIZE, max_concurrency=CONCURRENCY)


def has(bucket: Bucket, key: str, size: int) -> bool:
    """Whether an object of this size is under this key; False also where that can't be asked."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return client_for(bucket).head_object(Bucket=bucket.name, Key=key).get("ContentLength") == size
    except (BotoCoreError, ClientError):
        return False


def presign(bucket: Bucket, key: str, expires_in: int, *, file_name: str | None = None) -> str:
    """A link that downloads the object without credentials for `expires_in` seconds, as `file_name` where given."""
    what = {"Bucket": bucket.name, "Key": key}
    if file_name is not None:
        what["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
    return client_for(bucket).generate_presigned_url("get_object", Params=what, ExpiresIn=expires_in)


def presign_upload(bucket: Bucket, key: str, expires_in: int) -> str:
    """A link that takes the object with one PUT, without credentials, for `expires_in` seconds."""
    what = {"Bucket": bucket.name, "Key": key}
    return client_for(bucket).generate_presigned_url("put_object", Params=what, ExpiresIn=expires_in)


def content_key(sha256: str, name: str) -> str:
    """The key of a content that is kept once, whatever it is called; the extension helps who looks into the bucket."""
    suffix = PurePosixPath(name).suffix
    return f"files/{sha256}{suffix if suffix.isascii() else ''}"


_clients: OrderedDict[tuple[int, Bucket], _S3Client] = OrderedDict()
_clients_lock = threading.Lock()


def client_for(bucket: Bucket) -> _S3Client:
    """The client of these settings, whatever the bucket: one per process, safe to share between threads.

    The `MAX_CLIENTS` that were used last are kept, so that jobs with buckets of their own don't fill the memory.
    """
    key = (os.getpid(), dataclasses.replace(bucket, name=""))
    with _clients_lock:
        client = _clients.pop(key, None) or _new_client(bucket)
        _clients[key] = client
        if len(_clients) > MAX_CLIENTS:
            _clients.popitem(last=False)
        return client


def _new_client(bucket: Bucket) -> _S3Client:
    from botocore.exceptions import BotoCoreError

    try:
        client: _S3Client = _session().client(
            "s3",
            aws_access_key_id=bucket.access_key_id,
            aws_secret_access_key=bucket.secret_access_key,
            region_name=bucket.region,
            endpoint_url=bucket.endpoint_url,
            config=_client_config(bucket),
        )
    except (BotoCoreError, ValueError) as error:
        raise UploadError(
            f"the settings of bucket {bucket.name!r} can't be used: {error}", code="InvalidSettings"
        ) from None
    return client


@functools.cache
def _session() -> Session:
    """Has read what boto knows about S3, which takes longer than all else that a client needs. Not safe for threads."""
    from boto3.session import Session

    return Session()


def _client_config(bucket: Bucket) -> Config:
    from botocore.config import Config

    options: dict[str, object] = {
        "signature_version": "s3v4",
        "connect_timeout": _CONNECT_TIMEOUT,
        "read_timeout": _READ_TIMEOUT,
        "max_pool_connections": 4 * CONCURRENCY,
        "retries": {"mode": "standard", "total_max_attempts": _ATTEMPTS},
    }
    if bucket.endpoint_url is None:
        # Links to a bucket outside us-east-1 otherwise lead to the global host, which answers with a redirect.
        options["s3"] = {"addressing_style": "virtual"}
    if not is_aws(bucket.endpoint_url) and "request_checksum_calculation" in Config.OPTION_DEFAULTS:
        # Since botocore 1.36 every upload carries a CRC trailer, which GCS and older R2, MinIO and Spaces refuse.
        options |= {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}
    return Config(**options)


_ADVICE = {
    "InvalidAccessKeyId": "the endpoint does not know this access key id (BUCKET_ACCESS_KEY_ID)",
    "SignatureDoesNotMatch": "the secret access key is wrong (BUCKET_SECRET_ACCESS_KEY)",
    "AccessDenied": "these credentials may not write to this bucket",
    "NoSuchBucket": "there is no such bucket: create it, or set BUCKET_NAME or bucket_name=",
    "AuthorizationHeaderMalformed": "the region is wrong (BUCKET_REGION)",
    "PermanentRedirect": "the bucket is at another endpoint (BUCKET_ENDPOINT_URL, BUCKET_REGION)",
    "EntityTooLarge": "the store does not take objects of this size",
    "InsufficientStorage": "the store's disk is full",
    "XMinioStorageFull": "the store's disk is full",
    "507": "the store's disk is full",
    "QuotaExceeded": "the bucket's quota is used up",
}


def _explain(error: Exception, bucket: Bucket, key: str) -> UploadError:
    from botocore import exceptions

    # upload_file wraps what happened into an error of its own, as text only.
    cause = error.__context__ if isinstance(error.__context__, exceptions.ClientError) else error
    where = f"{key!r} to bucket {bucket.name!r} at {host_of(bucket.endpoint_url or '') or 'AWS ' + bucket.region}"
    if isinstance(cause, exceptions.ClientError):
        details = cause.response.get("Error", {})
        code = str(details.get("Code", "Unknown"))
        why = _ADVICE.get(code) or f"{code}: {details.get('Message') or 'no message'}"
        return UploadError(f"uploading {where} failed: {why}", code=code)
    code = (
        "Unreachable"
        if isinstance(cause, (exceptions.ConnectionError, exceptions.HTTPClientError))
        else type(cause).__name__
    )
    return UploadError(f"uploading {where} failed: {cause}", code=code)
