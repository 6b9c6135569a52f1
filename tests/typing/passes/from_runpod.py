"""What a checker knows of the names of runpod's: those of a worker, its helpers and its clients."""

from __future__ import annotations

from typing import assert_type

import aiohttp

import novita_gpus as runpod
from novita_gpus.endpoint import AsyncioEndpoint, AsyncioJob
from novita_gpus.serverless.modules.rp_logger import RunPodLogger
from novita_gpus.serverless.utils import download_files_from_urls, rp_cleanup, rp_debugger, rp_download, rp_upload
from novita_gpus.serverless.utils.rp_validator import validate
from novita_sdk import Job

log = runpod.RunPodLogger()
assert_type(log, RunPodLogger)


@runpod.serverless.register_fitness_check
def fit() -> None:
    log.info("fit", "job")


@rp_debugger.FunctionTimer
def handler(job: dict[str, object]) -> dict[str, object]:
    with rp_debugger.LineTimer("all"):
        checked = validate(job["input"], {"prompt": {"type": str, "required": True}})
        if "errors" in checked:
            return {"error": checked["errors"]}
        paths = download_files_from_urls(str(job["id"]), ["https://example.com/a.png"])
        assert_type(paths, list[str | None])
        assert_type(rp_download.file("https://example.com/a.zip")["extracted_path"], str | None)
        assert_type(rp_upload.upload_image("j", "a.png"), str)
        rp_cleanup.clean(["input_objects"])
        return {"output": runpod.serverless.utils.rp_cuda.is_available()}


assert_type(handler({}), dict[str, object])
assert_type(fit(), None)


async def clients(session: aiohttp.ClientSession) -> None:
    assert_type(runpod.Endpoint("e", "key").run({"input": 1}), Job)
    log.info(runpod.Endpoint("e").run_sync({"input": 1}, 60))
    job = await AsyncioEndpoint("e", session).run({})
    assert_type(job, AsyncioJob)
    assert_type(await job.status(), str)
    try:
        runpod.AsyncioJob("e", "j", session, {"Authorization": "Bearer k"})
    except runpod.error.RunPodError as error:
        log.error(error)


def more(current: int) -> int:
    return current + 1


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler, "concurrency_modifier": more})
