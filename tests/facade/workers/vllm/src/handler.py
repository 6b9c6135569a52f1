import multiprocessing
import os

import runpod
from runpod import RunPodLogger

log = RunPodLogger()

PROBLEM = None
engine = None


def load():
    global engine, PROBLEM
    try:
        from engine import Engine

        engine = Engine(os.environ.get("MODEL_NAME", "tiny"))
        log.info(f"loaded {engine.name}")
    except Exception as problem:
        PROBLEM = f"the engine could not be loaded: {problem}"
        log.error(PROBLEM)


async def handler(job):
    if PROBLEM:
        yield {"error": PROBLEM}
        return
    try:
        from utils import JobInput

        wish = JobInput(job["input"])
        log.debug("generating", job["id"])
        async for batch in engine.generate(wish):
            yield batch
    except Exception as problem:
        log.error(f"generating failed: {problem}", job["id"])
        yield {"error": str(problem)}


if __name__ == "__main__" or multiprocessing.current_process().name == "MainProcess":
    load()
    runpod.serverless.start(
        {
            "handler": handler,
            "concurrency_modifier": lambda current: engine.max_concurrency if engine else 1,
            "return_aggregate_stream": True,
        }
    )
