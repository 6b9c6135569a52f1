"""Reports its input as progress, waits until somebody saw that, and returns it."""

from __future__ import annotations

import threading
from typing import Any

import novita_gpus


def handler(job: dict[str, Any]) -> Any:
    wanted = job["input"]
    if isinstance(wanted, dict) and wanted.get("report"):
        novita_gpus.progress_update(job, wanted["value"])
        threading.Event().wait(wanted["report"])
        return {"value": wanted["value"]}
    return wanted["value"]


novita_gpus.start({"handler": handler, "concurrency": 4})
