"""One task of one client in a process of its own; runs in the published packages' environments as well.

Started by `client.py` with the task as JSON; prints the result as JSON.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time


def make_endpoint(task):
    """An endpoint with `run(input) -> job`, whatever the client."""
    if task["client"] == "runpod":
        import runpod

        runpod.api_key, runpod.endpoint_url_base = task["api_key"], task["url"]
        return runpod.Endpoint(task["endpoint"])
    import novita_gpus

    return novita_gpus.Endpoint(task["endpoint"], task["api_key"], task["url"])


def latency(task):
    """Milliseconds from submit to output beyond the job's own time, one job after the other."""
    endpoint = make_endpoint(task)
    endpoint.run({"seconds": 0}).output(timeout=30)
    samples = []
    for _ in range(task["count"]):
        begin = time.perf_counter()
        output = endpoint.run({"seconds": task["seconds"]}).output(timeout=300)
        samples.append(beyond(begin, output))
    return samples


def latency_async(task):
    """The same over the async client."""
    import asyncio

    import novita_sdk

    async def main():
        async with novita_sdk.AsyncClient(api_key=task["api_key"], base_url=task["url"]) as client:
            endpoint = client.endpoint(task["endpoint"])
            await (await endpoint.run({"seconds": 0})).output(timeout=30)
            samples = []
            for _ in range(task["count"]):
                begin = time.perf_counter()
                output = await (await endpoint.run({"seconds": task["seconds"]})).output(timeout=300)
                samples.append(beyond(begin, output))
            return samples

    return asyncio.run(main())


def latency_bare(task):
    """The same with nothing but the requests that it takes, over `requests`."""
    import requests

    url = f"{task['url']}/{task['endpoint']}"
    samples = []
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {task['api_key']}"

        def run(seconds):
            job_id = session.post(f"{url}/run", json={"input": {"seconds": seconds}}, timeout=10).json()["id"]
            answer = {}
            while "output" not in answer:
                answer = session.get(f"{url}/status/{job_id}?wait=60000", timeout=90).json()
            return answer["output"]

        run(0)
        for _ in range(task["count"]):
            begin = time.perf_counter()
            samples.append(beyond(begin, run(task["seconds"])))
    return samples


def latency_bare_async(task):
    """The same with nothing but the requests that it takes, over `aiohttp`."""
    import asyncio

    import aiohttp

    async def main():
        url = f"{task['url']}/{task['endpoint']}"
        samples = []
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {task['api_key']}"}) as session:

            async def run(seconds):
                async with session.post(f"{url}/run", json={"input": {"seconds": seconds}}) as reply:
                    job_id = (await reply.json())["id"]
                answer = {}
                while "output" not in answer:
                    async with session.get(f"{url}/status/{job_id}?wait=60000") as reply:
                        answer = await reply.json()
                return answer["output"]

            await run(0)
            for _ in range(task["count"]):
                begin = time.perf_counter()
                samples.append(beyond(begin, await run(task["seconds"])))
        return samples

    return asyncio.run(main())


def beyond(begin, output):
    return (time.perf_counter() - begin - output["took"]) * 1000


def submit(task):
    """Milliseconds of a submit: a client beside a bare `requests` call, in turns."""
    import requests

    endpoint = make_endpoint(task)
    url, body = f"{task['url']}/{task['endpoint']}/run", {"input": {"seconds": 0, "prompt": "a red apple " * 20}}
    headers = {"Authorization": f"Bearer {task['api_key']}"}
    ours, bare = [], []
    with requests.Session() as session:
        for _ in range(task["count"]):
            begin = time.perf_counter()
            endpoint.run(body["input"])
            middle = time.perf_counter()
            session.post(url, json=body, headers=headers, timeout=10).json()["id"]
            ours.append(middle - begin)
            bare.append(time.perf_counter() - middle)
    return [statistics.median(ours) * 1000, statistics.median(bare) * 1000]


def batch(task):
    """Seconds and peak MiB for many jobs: `map` where there is one, else submit all and then collect all."""
    endpoint = make_endpoint(task)
    endpoint.run({"seconds": 0}).output(timeout=30)  # what sends is loaded, and one connection is open
    inputs = [{"seconds": task["seconds"]}] * task["count"]
    begin = time.perf_counter()
    if task["client"] == "ours":
        assert len(list(endpoint.map(inputs, concurrency=task["concurrency"]))) == len(inputs)
    else:
        jobs = [endpoint.run(value) for value in inputs]
        for job in jobs:
            job.output(timeout=600)
    return usage(begin)


def batch_async(task):
    """The same over the async client."""
    import asyncio

    import novita_sdk

    async def main():
        async with novita_sdk.AsyncClient(api_key=task["api_key"], base_url=task["url"]) as client:
            endpoint = client.endpoint(task["endpoint"])
            await (await endpoint.run({"seconds": 0})).output(timeout=30)
            begin = time.perf_counter()
            outputs = endpoint.map([{"seconds": task["seconds"]}] * task["count"], concurrency=task["concurrency"])
            assert len([output async for output in outputs]) == task["count"]
            return usage(begin)

    return asyncio.run(main())


def usage(begin):
    wall = time.perf_counter() - begin
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"wall": wall, "mib": used.ru_maxrss / 1024, "cpu": used.ru_utime + used.ru_stime}


if __name__ == "__main__":
    work = json.loads(sys.argv[1])
    print(json.dumps(globals()[work["task"]](work)))
