"""Sleeps for `input.seconds` and reports how far it is: the smallest worker that shows everything."""

import time

import novita_gpus


def handler(job: dict) -> dict:
    """Sleeps and returns how long; an input that makes no sense fails the job."""
    seconds = job.get("input", {}).get("seconds", 5)
    if not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
        return {"error": f"seconds must be a number from 0 to 3600, not {seconds!r}"}

    novita_gpus.progress_update(job, {"status": "running", "message": "job accepted"})
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        time.sleep(min(0.5, seconds - elapsed))
        done = min(1.0, (time.monotonic() - started) / seconds)
        novita_gpus.progress_update(job, {"status": "running", "message": f"{done:.0%} slept"})

    return {"job_id": job["id"], "slept_seconds": seconds}


if __name__ == "__main__":
    novita_gpus.start({"handler": handler})
