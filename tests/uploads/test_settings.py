from __future__ import annotations

import gc
import re
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novita_sdk.storage.places import Bucket, configured_bucket
from novita_sdk.storage.s3 import MAX_CLIENTS, client_for, presign
from novita_sdk.storage.s3_endpoints import is_aws, region_of
from novita_sdk.uploads import UploadError, upload_bytes, use_s3_config
from novita_sdk.uploads._names import media_type, object_key
from tests.support.s3 import the_bucket

pytestmark = pytest.mark.core

CREDS = {"endpointUrl": "https://s3.eu-west-1.amazonaws.com", "accessId": "AK", "accessSecret": "SK-hidden"}


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [
        ("https://s3.us-east-2.amazonaws.com", "us-east-2"),
        ("https://my-bucket.s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://my.dotted.bucket.s3.eu-west-1.amazonaws.com/", "eu-west-1"),
        ("https://s3.dualstack.ap-south-1.amazonaws.com", "ap-south-1"),
        ("https://s3-us-west-2.amazonaws.com", "us-west-2"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://s3.amazonaws.com", "us-east-1"),
        ("https://abc123.r2.cloudflarestorage.com", "auto"),
        ("https://abc123.eu.r2.cloudflarestorage.com", "auto"),
        ("https://storage.googleapis.com", "auto"),
        ("https://nyc3.digitaloceanspaces.com", "nyc3"),
        ("https://my-space.ams3.digitaloceanspaces.com", "ams3"),
        ("https://s3.us-west-004.backblazeb2.com", "us-west-004"),
        ("https://s3.eu-central-1.wasabisys.com", "eu-central-1"),
        ("https://s3.fr-par.scw.cloud", "fr-par"),
        ("https://us-southeast-1.linodeobjects.com", "us-southeast-1"),
        ("http://127.0.0.1:9000", "us-east-1"),
        ("https://minio.example.com", "us-east-1"),
        ("http://minio:9000", "us-east-1"),
    ],
)
def test_the_region_is_read_off_the_endpoint(endpoint: str, region: str) -> None:
    assert region_of(endpoint) == region


def test_only_amazon_gets_the_newer_checksums() -> None:
    assert is_aws(None)
    assert is_aws("https://b.s3.eu-west-1.amazonaws.com")
    assert not is_aws("https://amazonaws.com.example.com")
    assert not is_aws("https://storage.googleapis.com")

    r2 = Bucket(name="b", region="auto", access_key_id="a", secret_access_key="s", endpoint_url="https://x.example.com")
    aws = Bucket(name="b", region="eu-west-1", access_key_id="a", secret_access_key="s")
    assert checksums(r2) == "when_required"
    assert checksums(aws) == "when_supported"


def checksums(bucket: Bucket) -> object:
    client: Any = client_for(bucket)  # boto3's, which ships no types
    return client.meta.config.request_checksum_calculation


def test_a_link_to_aws_without_endpoint_names_the_region() -> None:
    aws = Bucket(name="my-bucket", region="eu-west-1", access_key_id="a", secret_access_key="s")
    assert presign(aws, "k", 60).startswith("https://my-bucket.s3.eu-west-1.amazonaws.com/k?")


def test_equal_settings_share_a_client() -> None:
    assert client_for(the_bucket("b", CREDS)) is client_for(the_bucket("b", dict(CREDS)))
    assert client_for(the_bucket("b", CREDS)) is not client_for(the_bucket("b", CREDS | {"region": "eu-west-3"}))


def test_arguments_go_before_the_jobs_bucket_and_that_before_the_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BUCKET_ACCESS_KEY_ID", "env")
    monkeypatch.setenv("BUCKET_SECRET_ACCESS_KEY", "env")
    monkeypatch.setenv("BUCKET_REGION", "us-east-1")
    monkeypatch.setenv("BUCKET_NAME", "env-bucket")

    of_environment = the_bucket(None, None)
    assert (of_environment.access_key_id, of_environment.name) == ("env", "env-bucket")
    with use_s3_config({"accessId": "job", "accessSecret": "s", "endpointUrl": "http://h", "bucketName": "of-job"}):
        of_job = the_bucket(None, None)
        assert (of_job.access_key_id, of_job.name, of_job.endpoint_url) == ("job", "of-job", "http://h")
        of_call = the_bucket("named", CREDS)
        assert (of_call.access_key_id, of_call.name) == ("AK", "named")
        with use_s3_config(None):
            assert the_bucket(None, None).access_key_id == "job"
    assert the_bucket(None, None).access_key_id == "env"


def test_the_bucket_is_named_after_the_month_by_default() -> None:
    assert re.fullmatch(r"\d{4}-\d\d", the_bucket(None, CREDS).name)


def test_a_secret_is_not_shown() -> None:
    assert "SK-hidden" not in repr(the_bucket(None, CREDS))


@pytest.mark.parametrize(
    ("creds", "named"),
    [
        ({"endpointUrl": "http://h", "accessId": "a"}, "accessSecret"),
        ({"endpointUrl": "http://h", "accessSecret": "a"}, "accessId"),
        ({"accessId": "a", "accessSecret": "b"}, "endpointUrl"),
        ({"accessId": 5, "accessSecret": "b", "region": "r"}, "accessId"),
        ({"accessId": "a", "accessSecret": "b", "endpointUrl": "minio:9000"}, "must be a URL"),
        ({"accessId": "a", "accessSecret": "b", "endpointUrl": "ftp://minio"}, "must be a URL"),
        ({"accessId": "a", "accessSecret": "b", "endpointUrl": "http://[::1"}, "must be a URL"),
        ({"accessId": "a", "accessSecret": "b", "endpointUrl": "http://h:99999"}, "must be a URL"),
        ({"accessId": "a", "accessSecret": "b", "endpointUrl": "http://user:hidden@h"}, "must be a URL"),
        ({"accessId": "a", "accessSecret": "b", "endpointUrl": "http://h/?key=hidden"}, "must be a URL"),
    ],
)
def test_incomplete_credentials_are_refused_by_name(creds: dict[str, object], named: str) -> None:
    with pytest.raises(UploadError, match=named) as caught:
        configured_bucket("b", creds)
    assert caught.value.code == "InvalidSettings"
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"endpointUrl": "http://my_minio:9000"}, "my_minio"), ({"region": "no region!"}, "no region!")],
)
def test_settings_that_boto_refuses_are_named(change: dict[str, str], named: str) -> None:
    with pytest.raises(UploadError, match=named) as caught:
        upload_bytes("x", b"x", "b", bucket_creds=CREDS | change)
    assert caught.value.code == "InvalidSettings"
    assert "SK-hidden" not in str(caught.value)


@pytest.mark.parametrize("s3_config", [["https://minio.example.com"], "https://minio.example.com", 5])
def test_a_jobs_s3_config_that_is_no_object_is_refused_and_not_passed_over(s3_config: Any) -> None:
    with use_s3_config(s3_config), pytest.raises(UploadError, match="s3Config must be an object") as caught:
        upload_bytes("x", b"x")
    assert caught.value.code == "InvalidSettings"


def test_a_worker_for_many_users_does_not_keep_a_client_of_each() -> None:
    first = weakref.ref(client_for(the_bucket("b", CREDS | {"accessId": "first"})))
    for number in range(MAX_CLIENTS):
        last = client_for(the_bucket("b", CREDS | {"accessId": f"user-{number}"}))
    gc.collect()
    assert first() is None
    assert client_for(the_bucket("b", CREDS | {"accessId": f"user-{MAX_CLIENTS - 1}"})) is last


def test_buckets_behind_the_same_key_share_a_client() -> None:
    assert client_for(the_bucket("a", CREDS)) is client_for(the_bucket("b", CREDS))


@pytest.mark.parametrize("variable", ["NOVITA_WEBHOOK_GET_JOB", "RUNPOD_WEBHOOK_GET_JOB"])
def test_a_platform_worker_without_bucket_names_what_is_missing(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "https://host/v2/ep/job-take/$ID?gpu=x")
    monkeypatch.setenv("BUCKET_ENDPOINT_URL", "https://minio.example.com")
    monkeypatch.setenv("BUCKET_ACCESS_KEY_ID", "a")
    with pytest.raises(UploadError) as caught:
        upload_bytes("x", b"x")
    assert "BUCKET_SECRET_ACCESS_KEY" in str(caught.value)
    assert "BUCKET_ACCESS_KEY_ID" not in str(caught.value)
    assert caught.value.code == "NotConfigured"


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/../../x", "/etc/passwd", "..", "a/", "C:\\x", "..\\x", "\\\\host\\x"),
        *("a\0b", "a\nb", "", ".", "./.", "x" * 1025, "\ud800.png"),
    ],
)
def test_a_name_that_leads_astray_is_refused(name: str) -> None:
    with pytest.raises(UploadError) as caught:
        object_key(name)
    assert caught.value.code == "InvalidName"


@given(name=st.text(max_size=40), prefix=st.none() | st.text(max_size=20))
def test_an_accepted_name_stays_in_its_folder(name: str, prefix: str | None) -> None:
    import os.path

    try:
        key = object_key(name, prefix)
    except UploadError:
        return
    assert os.path.normpath(f"/root/{key}").startswith("/root/")


def test_media_types_follow_the_extension() -> None:
    assert media_type("a.jpg") == "image/jpeg"
    assert media_type("a.PNG") == "image/png"
    assert media_type("a.webp") == "image/webp"
    assert media_type("a.mp4") == "video/mp4"
    assert media_type("a.flac").startswith("audio/")
    assert media_type("noext") == "application/octet-stream"
