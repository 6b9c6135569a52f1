"""The upload functions of the published package: images, files and bytes, as links."""

from __future__ import annotations

import errno
import io
import os
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from pathlib import Path
from typing import TypeAlias

from novita_sdk.storage import s3
from novita_sdk.storage.errors import UploadError
from novita_sdk.storage.places import GatewayFiles, refuse_on_platform, worker_place
from novita_sdk.uploads import _local
from novita_sdk.uploads._names import media_type, object_key

StrPath: TypeAlias = str | os.PathLike[str]
OnProgress: TypeAlias = Callable[[int, int], None]

_PARALLEL_IMAGES = 4


def upload_image(
    job_id: str,
    image_path: StrPath,
    bucket_name: str | None = None,
    bucket_creds: Mapping[str, object] | None = None,
    *,
    content_type: str | None = None,
    expires_in: int = s3.MAX_EXPIRES_IN,
    on_progress: OnProgress | None = None,
) -> str:
    """Uploads one image under ``<job_id>/<random>.<extension>``.

    Args:
        job_id: The job's id, first part of the object's key.
        image_path: The image file.
        bucket_name: The bucket, instead of BUCKET_NAME or the month.
        bucket_creds: endpointUrl, accessId, accessSecret and region, instead of the environment's.
        content_type: The media type; by the file's extension where it is left out.
        expires_in: How long the link works, in seconds, at most 7 days.
        on_progress: Called with bytes sent and bytes in all, from threads of the transfer, one call at a time.

    Returns:
        A presigned link, or the path of the local copy where no bucket is set.

    Raises:
        UploadError: There is no bucket in a platform worker, or the store refused the upload.
        FileNotFoundError: There is no such image.
        OSError: The image could not be read, or the local copy not be written.
    """
    name = f"{uuid.uuid4().hex[:8]}{Path(image_path).suffix}"
    return _upload(
        Path(image_path),
        local_name=object_key(name),
        key=object_key(name, job_id),
        bucket_name=bucket_name,
        bucket_creds=bucket_creds,
        content_type=content_type or media_type(name),
        expires_in=expires_in,
        on_progress=on_progress,
    )


def upload_images(
    job_id: str,
    image_paths: Sequence[StrPath],
    bucket_name: str | None = None,
    bucket_creds: Mapping[str, object] | None = None,
    *,
    expires_in: int = s3.MAX_EXPIRES_IN,
    on_progress: OnProgress | None = None,
) -> list[str]:
    """Uploads images in parallel; arguments as of `upload_image`.

    Args:
        job_id: The job's id.
        image_paths: The image files.
        bucket_name: The bucket.
        bucket_creds: Its credentials.
        expires_in: How long the links work, in seconds.
        on_progress: Called with images done and images in all.

    Returns:
        The links, in the order of the paths.

    Raises:
        UploadError: At least one failed; `UploadError.failed` has each error by path. The others were uploaded.
    """
    done = 0
    lock = threading.Lock()

    def upload(path: StrPath) -> str:
        nonlocal done
        url = upload_image(job_id, path, bucket_name, bucket_creds, expires_in=expires_in)
        with lock:
            done += 1
            if on_progress is not None:
                on_progress(done, len(image_paths))
        return url

    with ThreadPoolExecutor(_PARALLEL_IMAGES, thread_name_prefix="upload") as pool:
        uploads = [pool.submit(copy_context().run, upload, path) for path in image_paths]
        try:
            wait(uploads)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    failed = {str(path): error for path, one in zip(image_paths, uploads, strict=True) if (error := one.exception())}
    if failed:
        first = next(iter(failed.values()))
        raise UploadError(
            f"job {job_id}: {len(failed)} of {len(uploads)} images were not uploaded: "
            + "; ".join(f"{path}: {error}" for path, error in failed.items()),
            code=first.code if isinstance(first, UploadError) and len(failed) == 1 else "SomeFailed",
            failed={path: error for path, error in failed.items() if isinstance(error, Exception)},
        ) from first
    return [one.result() for one in uploads]


def upload_file(
    file_name: str,
    file_path: StrPath,
    bucket_name: str | None = None,
    prefix: str | None = None,
    bucket_creds: Mapping[str, object] | None = None,
    *,
    content_type: str | None = None,
    expires_in: int = s3.MAX_EXPIRES_IN,
    on_progress: OnProgress | None = None,
    extra_args: Mapping[str, object] | None = None,
) -> str:
    """Uploads a file of any size and kind under ``<prefix>/<file_name>``.

    It is read from the disk part by part and never whole. Other arguments, result and errors are those of
    `upload_image`; the local copy does not have the prefix.

    Args:
        file_name: The object's name.
        file_path: The file.
        bucket_name: The bucket.
        prefix: First part of the object's key, for example the job's id.
        bucket_creds: The bucket's credentials.
        content_type: The media type; by the name's extension where it is left out.
        expires_in: How long the link works, in seconds.
        on_progress: Called with bytes sent and bytes in all.
        extra_args: Further arguments of S3 for the object, such as `ACL`, `CacheControl` or `Metadata`. A file that
            stays here, or goes to a gateway's store, has none.
    """
    return _upload(
        Path(file_path),
        local_name=object_key(file_name),
        key=object_key(file_name, prefix),
        bucket_name=bucket_name,
        bucket_creds=bucket_creds,
        content_type=content_type or media_type(file_name),
        expires_in=expires_in,
        on_progress=on_progress,
        extra_args=extra_args,
    )


def upload_bytes(
    file_name: str,
    data: bytes | bytearray | memoryview,
    bucket_name: str | None = None,
    prefix: str | None = None,
    content_type: str | None = None,
    bucket_creds: Mapping[str, object] | None = None,
    *,
    expires_in: int = s3.MAX_EXPIRES_IN,
    on_progress: OnProgress | None = None,
) -> str:
    """Uploads bytes under ``<prefix>/<file_name>``; everything else as in `upload_file`.

    Args:
        file_name: The object's name.
        data: The bytes.
        bucket_name: The bucket.
        prefix: First part of the object's key.
        content_type: The media type; by the name's extension where it is left out.
        bucket_creds: The bucket's credentials.
        expires_in: How long the link works, in seconds.
        on_progress: Called with bytes sent and bytes in all.
    """
    return _upload(
        bytes(data),
        local_name=object_key(file_name),
        key=object_key(file_name, prefix),
        bucket_name=bucket_name,
        bucket_creds=bucket_creds,
        content_type=content_type or media_type(file_name),
        expires_in=expires_in,
        on_progress=on_progress,
    )


def _upload(
    source: Path | bytes,
    *,
    local_name: str,
    key: str,
    bucket_name: str | None,
    bucket_creds: Mapping[str, object] | None,
    content_type: str,
    expires_in: int,
    on_progress: OnProgress | None,
    extra_args: Mapping[str, object] | None = None,
) -> str:
    if not 0 < expires_in <= s3.MAX_EXPIRES_IN:
        raise ValueError(f"expires_in must be between 1 and {s3.MAX_EXPIRES_IN} seconds, not {expires_in}")
    place = worker_place(bucket_name, bucket_creds)
    size = _size_of(source)
    counter = s3.ByteCounter(size, on_progress) if on_progress else None
    if isinstance(place, GatewayFiles):
        return _to_gateway(place, source, local_name, content_type, on_progress)
    if place is None:
        refuse_on_platform()
        with source.open("rb") if isinstance(source, Path) else io.BytesIO(source) as stream:
            path = _local.save(local_name, stream)
        if counter:
            counter(size)
        return path
    s3.put(
        place,
        key,
        str(source) if isinstance(source, Path) else io.BytesIO(source),
        content_type=content_type,
        on_bytes=counter,
        extra_args=extra_args,
    )
    return s3.presign(place, key, expires_in)


def _to_gateway(
    place: GatewayFiles, source: Path | bytes, name: str, content_type: str, on_progress: OnProgress | None
) -> str:
    """Puts the file into the gateway's own store."""
    from novita_sdk.files._file import LocalFile
    from novita_sdk.files._stores import GatewayStore

    store = GatewayStore(place.url, place.authorization)
    if isinstance(source, Path):
        file = LocalFile(path=source, name=name, media_type=content_type)
    else:
        file = LocalFile(data=source, name=name, media_type=content_type)
    report = None if on_progress is None else (lambda sent, total: on_progress(sent, total or file.size))
    return store.put(file, on_progress=report).url


def _size_of(source: Path | bytes) -> int:
    if isinstance(source, bytes):
        return len(source)
    if source.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory, so it can't be uploaded as a file", str(source))
    try:
        return source.stat().st_size
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "The file to upload does not exist", str(source)) from error
