"""Jobs that bring their bucket along, beside jobs that don't, in one worker at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from novita_gateway import serve_in_thread
from novita_sdk import Client
from tests.support.s3 import S3Server

HANDLERS = {
    "sync": """
def handler(job, context):
    return upload(job, context)
""",
    "async": """
async def handler(job, context):
    return await asyncio.to_thread(upload, job, context)
""",
}

WORKER = """
import asyncio, threading
import novita_gpus

all_run = threading.Barrier(4)

def upload(job, context):
    # Four jobs are between their beginning and their uploads at the same time.
    all_run.wait(60)
    name = job["input"]
    urls = [novita_gpus.upload_bytes(name, b"x", prefix="called")]
    # A thread that the handler starts itself has none of the handler's context variables.
    thread = threading.Thread(target=lambda: urls.append(context.upload_bytes(name, b"x")))
    thread.start()
    thread.join()
    return urls

{handler}
novita_gpus.start({{"handler": handler, "concurrency_modifier": lambda current: 4}})
"""


@pytest.mark.parametrize("kind", HANDLERS)
def test_each_job_uploads_to_its_own_bucket(
    kind: str, moto_server: S3Server, rclone_server: S3Server, tmp_path: Path
) -> None:
    of_worker = {
        "BUCKET_ENDPOINT_URL": moto_server.url,
        "BUCKET_ACCESS_KEY_ID": moto_server.creds["accessId"],
        "BUCKET_SECRET_ACCESS_KEY": moto_server.creds["accessSecret"],
        "BUCKET_NAME": "outputs",
    }
    script = tmp_path / "worker.py"
    script.write_text(WORKER.format(handler=HANDLERS[kind]))
    with serve_in_thread() as gateway:
        environment = os.environ | gateway.worker_env("ep") | of_worker
        worker = subprocess.Popen([sys.executable, script], env=environment, cwd=tmp_path)
        try:
            with Client(api_key=gateway.api_key, base_url=gateway.url) as client:
                endpoint = client.endpoint("ep")
                own = rclone_server.creds | {"bucketName": "outputs"}
                jobs = [endpoint.run(f"{kind}-{n}", s3_config=own if n % 2 else None) for n in range(12)]
                urls = [job.output(timeout=120) for job in jobs]
        finally:
            worker.terminate()
            worker.wait(60)
    servers = [rclone_server if n % 2 else moto_server for n in range(12)]
    assert [[url.startswith(server.url) for url in both] for server, both in zip(servers, urls, strict=True)] == [
        [True, True]
    ] * 12
