"""The published names."""

from __future__ import annotations

from typing import assert_type

from shop.v1.shop_pb2 import Draw, Drawn

import novita_gpus
from novita_gpus import Endpoint, Job, JobContext
from novita_sdk.typed import TypedJob

novita_gpus.api_key = "k"
endpoint = Endpoint("e", api_key="k")
assert_type(endpoint.run({"prompt": "x"}), Job)
assert_type(endpoint.run({"prompt": "x"}).job_id, str)
assert_type(endpoint.run(Draw(), output_type=Drawn), TypedJob[Drawn])


def handler(job: dict[str, object], context: JobContext) -> dict[str, object]:
    novita_gpus.progress_update(job, {"done": 1})
    assert_type(context.id, str)
    return job


def main() -> None:
    novita_gpus.start({"handler": handler})
