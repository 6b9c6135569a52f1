"""Reports each number up to the input, the next when the file `seen-NUMBER` of the last one is there."""

import time
from pathlib import Path
from typing import Any

import novita_gpus


def handler(job: dict[str, Any], context: novita_gpus.JobContext) -> str:
    for number in range(job["input"]):
        novita_gpus.progress_update(job, number)
        while not Path(f"seen-{number}").exists():
            time.sleep(0.01)
    return "done"


if __name__ == "__main__":
    novita_gpus.start({"handler": handler})
