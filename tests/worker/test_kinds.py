"""The kind of a handler shows in what it gives, however its function looks behind decorators."""

from __future__ import annotations

import signal
import textwrap

import pytest

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn

# Every job holds a lock of the loop for a moment: a second loop would fail it, or hang.
WORK = """
import functools, inspect, types
lock = asyncio.Lock()
loops = set()
def where():
    loops.add(id(asyncio.get_running_loop()))
    return {"loops": len(loops), "main": threading.current_thread() is threading.main_thread()}
async def work(job):
    async with lock:
        await asyncio.sleep(0.05)
    return {"echo": job["input"], **where()}
async def chunks(job):
    async with lock:
        await asyncio.sleep(0.05)
    yield {"echo": job["input"], **where()}
"""
COROUTINES = {
    "wraps": """
        def timed(function):
            @functools.wraps(function)
            def call(job):
                return function(job)
            return call
        handler = timed(work)
        """,
    "partial": "handler = functools.partial(lambda extra, job: work(job), 1)\n",
    "object": """
        class Handler:
            def __init__(self, function):
                self.function = function
            def __call__(self, job):
                return self.function(job)
        handler = Handler(work)
        """,
    "call is an attribute": """
        class Handler:
            __call__ = functools.partialmethod(lambda self, job: work(job))
        handler = Handler()
        """,
    "awaitable": """
        class Answer:
            def __init__(self, job):
                self.job = job
            def __await__(self):
                return work(self.job).__await__()
        def handler(job):
            return Answer(job)
        """,
    "old coroutine": """
        @types.coroutine
        def handler(job):
            return (yield from work(job).__await__())
        """,
    "forgotten await": """
        async def handler(job):
            return work(job)
        """,
    "sync function": """
        def handler(job, context: JobContext):
            return work(job)
        """,
    "typed": """
        import dataclasses
        @dataclasses.dataclass
        class Request:
            text: str
        def handler(request: Request) -> dict[str, object]:
            return work({"input": request.text})
        """,
}
STREAMS = {
    "wraps": """
        def timed(function):
            @functools.wraps(function)
            def call(job):
                return function(job)
            return call
        handler = timed(chunks)
        """,
    "async iterator": """
        class Once:
            def __init__(self, job):
                self.chunks = chunks(job)
            def __aiter__(self):
                return self
            async def __anext__(self):
                return await anext(self.chunks)
        def handler(job):
            return Once(job)
        """,
    "async function": """
        async def handler(job):
            return chunks(job)
        """,
}


def _script(body: str, concurrency: int) -> str:
    return WORK + textwrap.dedent(body) + f'start({{"handler": handler, "concurrency": {concurrency}}})'


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("form", COROUTINES)
def test_what_has_to_be_awaited_shares_one_loop(
    gateway: WorkerGateway, spawn: Spawn, form: str, concurrency: int
) -> None:
    worker = spawn(_script(COROUTINES[form], concurrency))
    inputs = [{"text": str(number)} if form == "typed" else str(number) for number in range(4)]
    for number, job_id in enumerate([gateway.submit(value) for value in inputs]):
        assert gateway.result(job_id) == {"output": {"echo": str(number), "loops": 1, "main": True}}
    worker.end()


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("form", STREAMS)
def test_what_has_to_be_iterated_on_a_loop_shares_it(
    gateway: WorkerGateway, spawn: Spawn, form: str, concurrency: int
) -> None:
    worker = spawn(_script(STREAMS[form], concurrency))
    job_ids = [gateway.submit(str(number)) for number in range(4)]
    for number, job_id in enumerate(job_ids):
        assert gateway.result(job_id) == {"output": []}
        (chunk,) = gateway.of("stream", job_id)
        assert chunk.json["output"] == {"echo": str(number), "loops": 1, "main": True}
    worker.end()


def test_an_async_setup_has_the_loop_of_the_jobs(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = """
        beats = []
        async def beat():
            while True:
                beats.append(1)
                await asyncio.sleep(0.01)
        async def setup():
            global loop, task
            loop = asyncio.get_running_loop()
            task = loop.create_task(beat())
        async def work(job):
            return asyncio.get_running_loop() is loop
        start({"handler": lambda job: work(job), "setup": setup, "teardown": lambda: task.cancel()})
        """
    worker = spawn(script)
    assert [gateway.result(gateway.submit()) for _ in range(2)] == [{"output": True}] * 2
    worker.end()


def test_a_handler_that_runs_a_loop_itself_may_give_either(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = """
        async def work(job):
            await asyncio.sleep(0)
            return threading.current_thread() is threading.main_thread()
        def handler(job):
            return asyncio.run(work(job)) if job["input"] else work(job)
        start({"handler": handler})
        """
    worker = spawn(script)
    assert [gateway.result(gateway.submit(kind)) for kind in (0, 1, 0, 1)] == [{"output": True}] * 4
    worker.end()


FALSE_ALARMS = {
    "value": "return job['input']",
    "generator": "return (x for x in [job['input']])",
}


@pytest.mark.parametrize("kind", FALSE_ALARMS)
def test_a_function_that_only_looks_async_works(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    script = f"""
        import asyncio.coroutines, inspect
        def handler(job):
            {FALSE_ALARMS[kind]}
        handler._is_coroutine = asyncio.coroutines._is_coroutine
        if hasattr(inspect, "markcoroutinefunction"):
            inspect.markcoroutinefunction(handler)
        start({{"handler": handler, "return_aggregate_stream": True}})
        """
    worker = spawn(script)
    assert gateway.result(gateway.submit("x")) == {"output": "x" if kind == "value" else ["x"]}
    worker.end()


def test_an_async_function_may_give_a_generator_which_blocks_nobody(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = """
        def blocking():
            yield "begun"
            hold()
        async def handler(job):
            if job["input"]:
                return blocking()
            return "answered"
        start({"handler": handler, "concurrency": 2})
        """
    worker = spawn(script)
    stuck = gateway.submit(1)
    gateway.wait_for(lambda: gateway.of("stream", stuck), "the first chunk")
    assert gateway.result(gateway.submit(0)) == {"output": "answered"}
    worker.let_go()
    assert gateway.result(stuck) == {"output": []}
    worker.end()


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_decorated_async_handler_is_cancelled_as_any(gateway: WorkerGateway, spawn: Spawn, concurrency: int) -> None:
    script = f"""
        async def work(job, context):
            if not job["input"]:
                return "next"
            try:
                context.progress(message="begun")
                await asyncio.sleep(3600)
            finally:
                print("cleaned up", file=sys.stderr, flush=True)
        def handler(job, context):
            return work(job, context)
        start({{"handler": handler, "concurrency": {concurrency}}})
        """
    worker = spawn(script)
    job_id = gateway.submit(1)
    gateway.wait_for(lambda: gateway.of("progress", job_id), "its first report")
    gateway.stop(job_id)
    worker.wait_for_log("cleaned up")
    assert gateway.result(gateway.submit(0)) == {"output": "next"}
    worker.end()


def test_a_task_that_breaks_the_loop_loses_no_decorated_job(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = """
        async def bad():
            sys.exit(3)
        async def work(job):
            task = asyncio.create_task(bad())
            await asyncio.sleep(0.05)
            return "done"
        start({"handler": lambda job: work(job)})
        """
    worker = spawn(script)
    assert gateway.result(gateway.submit()) == {"output": "done"}
    assert worker.wait() == 1


def test_a_worker_whose_decorated_handler_never_ends_does(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = """
        async def work(job, context):
            context.progress(message="begun")
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(3600)
        start({"handler": lambda job, context: work(job, context), "shutdown_timeout": 0})
        """
    worker = spawn(script)
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress", job_id), "its first report")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 1
