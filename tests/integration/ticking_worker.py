"""Reports numbers one after the other."""

from __future__ import annotations

import threading
from typing import Any

import novita_gpus


def handler(job: dict[str, Any]) -> str:
    for number in range(job["input"]):
        novita_gpus.progress_update(job, number)
        threading.Event().wait(0.25)
    return "done"


novita_gpus.start({"handler": handler})
