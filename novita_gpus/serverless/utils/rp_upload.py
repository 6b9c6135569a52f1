"""runpod's uploads: `novita_sdk.uploads`, with runpod's arguments."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableSequence, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from novita_sdk import uploads

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig
    from botocore.client import BaseClient

__all__ = [
    "bucket_upload",
    "extract_region_from_url",
    "files",
    "get_boto_client",
    "upload_file_to_bucket",
    "upload_image",
    "upload_in_memory_object",
]


def upload_image(
    job_id: str,
    image_location: str | os.PathLike[str],
    result_index: int = 0,
    results_list: MutableSequence[str | None] | None = None,
    bucket_name: str | None = None,
) -> str:
    """Uploads an image and returns its link; errors as of `novita_sdk.uploads.upload_image`.

    Args:
        job_id: First part of the object's key.
        image_location: The image file.
        result_index: Where in the list the link is put too.
        results_list: Such a list.
        bucket_name: The bucket, instead of the job's, BUCKET_NAME or the month.
    """
    link = uploads.upload_image(job_id, image_location, bucket_name)
    if results_list is not None:
        results_list[result_index] = link
    return link


def files(job_id: str, file_list: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Uploads images in parallel and returns their links in order; errors as of `novita_sdk.uploads.upload_images`."""
    return uploads.upload_images(job_id, file_list)


def bucket_upload(
    job_id: str, file_list: Sequence[str | os.PathLike[str]], bucket_creds: Mapping[str, object]
) -> list[str]:
    """Uploads files under the job's id and their paths, and returns links that work without credentials.

    Args:
        job_id: First part of each object's key.
        file_list: The files.
        bucket_creds: endpointUrl, accessId, accessSecret and bucketName.

    Raises:
        UploadError: The store refused one, or the credentials are incomplete.
        OSError: One could not be read.
    """
    return [
        uploads.upload_file(
            Path(file).as_posix().lstrip("/"),
            file,
            str(bucket_creds["bucketName"]),
            prefix=job_id,
            bucket_creds=bucket_creds,
        )
        for file in file_list
    ]


def upload_file_to_bucket(
    file_name: str,
    file_location: str | os.PathLike[str],
    bucket_creds: Mapping[str, object] | None = None,
    bucket_name: str | None = None,
    prefix: str | None = None,
    extra_args: Mapping[str, object] | None = None,
) -> str:
    """Uploads a file of any size and returns its link; arguments and errors as of `novita_sdk.uploads.upload_file`."""
    return uploads.upload_file(file_name, file_location, bucket_name, prefix, bucket_creds, extra_args=extra_args)


def upload_in_memory_object(
    file_name: str,
    file_data: bytes,
    bucket_creds: Mapping[str, object] | None = None,
    bucket_name: str | None = None,
    prefix: str | None = None,
) -> str:
    """Uploads bytes and returns their link; arguments and errors as of `novita_sdk.uploads.upload_bytes`."""
    return uploads.upload_bytes(file_name, file_data, bucket_name, prefix, bucket_creds=bucket_creds)


def get_boto_client(bucket_creds: Mapping[str, object] | None = None) -> tuple[BaseClient | None, TransferConfig]:
    """The client of the bucket that uploads would go to, or None where there is none, and how its transfers are made.

    Raises:
        UploadError: Credentials are incomplete.
    """
    from novita_sdk.storage import s3
    from novita_sdk.storage.places import configured_bucket

    bucket = configured_bucket(None, bucket_creds)
    return (None if bucket is None else s3.client_for(bucket)), s3.transfer_config()


def extract_region_from_url(endpoint_url: str) -> str:
    """The region that an S3 endpoint's address tells; a default one where it tells none."""
    from novita_sdk.storage.s3_endpoints import region_of

    return region_of(endpoint_url)
