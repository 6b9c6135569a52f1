"""Files and bytes to object storage, as links that anyone can open.

The bucket is found in this order: the arguments of the call, the ``s3Config`` of the job that runs, the environment:

======================== ===============================================================
BUCKET_ENDPOINT_URL      S3 endpoint: AWS, R2, GCS, MinIO, Spaces, … (AWS: region is enough)
BUCKET_ACCESS_KEY_ID     access key
BUCKET_SECRET_ACCESS_KEY secret key
BUCKET_NAME              bucket; the month as ``YYYY-MM`` where it is not set
BUCKET_REGION            region; read off the endpoint where it is not set
======================== ===============================================================

Without any of them a file is copied to ``local_upload/`` in the working directory, except in a platform worker, where
nobody could ever fetch it: there it is an error.
"""

from __future__ import annotations

from novita_sdk.storage.errors import UploadError
from novita_sdk.storage.places import set_s3_config, use_s3_config
from novita_sdk.uploads._upload import upload_bytes, upload_file, upload_image, upload_images

__all__ = [
    "UploadError",
    "set_s3_config",
    "upload_bytes",
    "upload_file",
    "upload_image",
    "upload_images",
    "use_s3_config",
]
