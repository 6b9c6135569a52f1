"""Submits a streaming job and reads its stream with the published client: stream.py BASE_URL KEY ENDPOINT.

Prints the job's id, and when the stream is over its chunks.
"""

# ruff: noqa: T201 - what it prints is its result
from __future__ import annotations

import importlib
import json
import sys
from typing import Any

sdk: Any = importlib.import_module("runpod")
sdk.endpoint_url_base, sdk.api_key, endpoint = sys.argv[1:]
job = sdk.Endpoint(endpoint).run({"input": {"count": 5}})
print(job.job_id, flush=True)
print(json.dumps(list(job.stream())), flush=True)
