"""A gateway with a worker on every endpoint it is asked for, as a process of its own that counts status requests.

Started by `client.py`. Every line on stdin is a command as JSON, answered by a line of JSON: `{"serve": ENDPOINT,
"slots": N}` starts a worker that sleeps as long as the input says
and tells how long it took, `{"count": ENDPOINT}` gives the status requests so
far.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter

import aiohttp

from novita_gateway import Gateway, Limits, MemoryStore, Waits
from novita_sdk.models import JobStatus


class CountingStore(MemoryStore):
    """Counts status requests by endpoint."""

    def __init__(self) -> None:
        super().__init__(limits=Limits(lease=3_600_000))  # the worker below does not ping
        self.asked: Counter[str] = Counter()

    async def status(self, endpoint: str, job_id: str, wait: int = 0, since: int | None = None) -> JobStatus:
        self.asked[endpoint] += 1
        return await super().status(endpoint, job_id, wait, since)


async def slot(session: aiohttp.ClientSession, environment: dict[str, str], name: str) -> None:
    """Takes jobs, one after the other."""
    take = environment["NOVITA_WEBHOOK_GET_JOB"].replace("$ID", name) + "&job_in_progress=0"
    done = environment["NOVITA_WEBHOOK_POST_OUTPUT"].replace("$NOVITA_POD_ID", name) + "&isStream=false"
    while True:
        async with session.get(take) as reply:
            if reply.status != 200:
                continue
            job = await reply.json()
        seconds = job["input"]["seconds"]
        begin = time.perf_counter()
        if seconds:
            await asyncio.sleep(seconds)
        output = {"took": time.perf_counter() - begin}  # a loop sleeps up to a millisecond longer than it is asked
        async with session.post(done.replace("$ID", job["id"]), data=json.dumps({"output": output})):
            pass


async def main(longest_wait: int) -> None:
    store = CountingStore()
    tasks = []
    async with Gateway(store=store, waits=Waits(status=longest_wait)) as gateway:
        token = gateway.worker_env("any")["NOVITA_AI_API_KEY"]
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(headers={"Authorization": token}, connector=connector) as session:
            print(json.dumps({"url": gateway.url, "api_key": gateway.api_key}), flush=True)
            while line := await asyncio.to_thread(sys.stdin.readline):
                command = json.loads(line)
                answer: object = None
                if endpoint := command.get("serve"):
                    environment = gateway.worker_env(endpoint)
                    names = (f"w{number}" for number in range(command["slots"]))
                    tasks += [asyncio.create_task(slot(session, environment, name)) for name in names]
                else:
                    answer = store.asked[command["count"]]
                print(json.dumps(answer), flush=True)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
