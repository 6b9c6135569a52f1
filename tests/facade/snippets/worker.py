import time

import novita_gpus


def handler(job: dict) -> dict:
    job_id = job["id"]
    job_input = job.get("input", {})

    novita_gpus.progress_update(job, {"status": "running", "message": "job accepted"})
    time.sleep(0.2)

    if job_input.get("fail"):
        return {"error": "the prompt was refused"}
    return {"job_id": job_id, "input": job_input}


if __name__ == "__main__":
    novita_gpus.start({"handler": handler})
