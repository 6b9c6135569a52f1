"""An exception, or a value, whose own code fails ends its job and nothing else."""

from __future__ import annotations

import pytest

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn

TRAPS = {
    "__str__": "def __str__(self): raise trap",
    "__repr__ and __str__": "def __str__(self): raise trap\n    __repr__ = __str__",
    "__class__": "@property\n    def __class__(self): raise trap",
    "__cause__": "@property\n    def __cause__(self): raise trap",
    "__traceback__": "@property\n    def __traceback__(self): raise trap",
    "__notes__": "@property\n    def __notes__(self): raise trap",
    "code": "@property\n    def code(self): raise trap",
    "text of its own": "def __str__(self): return Text('x')",
}
SCRIPT = """
trap = {trap}
class Text(str):
    def __str__(self): raise trap
    __len__ = __repr__ = encode = __getitem__ = __format__ = __str__
class Meta(type):
    def __repr__(cls): raise trap
    @property
    def __name__(cls): raise trap
class Hostile({base}, metaclass=Meta):
    {member}
def fail(job):
    if job["input"]:
        raise Hostile("it broke")
    return "next"
"""
HANDLERS = {
    "sync": "handler = fail",
    "async": "async def handler(job): return fail(job)",
    "decorated": "async def work(job): return fail(job)\ndef handler(job): return work(job)",
    "generator": "def handler(job): yield fail(job)",
    "async generator": "async def handler(job): yield fail(job)",
}


def _run(gateway: WorkerGateway, spawn: Spawn, kind: str, **parts: str) -> str:
    script = SCRIPT.format(**{"base": "Exception", "trap": "SystemExit(3)", **parts}) + HANDLERS[kind]
    worker = spawn(script + '\nstart({"handler": handler, "return_aggregate_stream": True})')
    error = gateway.result(gateway.submit(1))["error"]
    # The slot is free again, and the worker whole.
    result = gateway.result(gateway.submit(0))
    assert result == {"output": ["next"] if "generator" in kind else "next"}
    worker.end()
    return str(error)


@pytest.mark.parametrize("member", TRAPS)
def test_an_exception_that_cannot_be_shown_ends_its_job(gateway: WorkerGateway, spawn: Spawn, member: str) -> None:
    error = _run(gateway, spawn, "sync", member=TRAPS[member])
    assert "Hostile" in error
    if "__str__" in member:
        assert "raised SystemExit" in error


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("trap", ["SystemExit(3)", "KeyboardInterrupt()", "GeneratorExit()", "StopIteration()"])
def test_whatever_kind_of_handler_raised_it(gateway: WorkerGateway, spawn: Spawn, kind: str, trap: str) -> None:
    member = TRAPS["__repr__ and __str__"]
    assert "Hostile" in _run(gateway, spawn, kind, trap=trap, member=member)


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_value_whose_own_code_fails_ends_its_job(gateway: WorkerGateway, spawn: Spawn, concurrency: int) -> None:
    script = f"""
        class Hostile(dict):
            @property
            def __class__(self): raise GeneratorExit
            def get(self, *_): raise GeneratorExit
            items = __iter__ = __str__ = __repr__ = __len__ = __bool__ = get
        class Blank:
            @property
            def __class__(self): raise GeneratorExit
        def handler(job):
            return {{0: lambda: "next", 1: Hostile, 2: Blank, 3: lambda: {{"error": Hostile(a=1)}}}}[job["input"]]()
        start({{"handler": handler, "concurrency": {concurrency}, "max_jobs": 100}})
        """
    worker = spawn(script)
    for kind in (2, 3, 2):
        assert "error" in gateway.result(gateway.submit(kind))
        assert gateway.result(gateway.submit(0)) == {"output": "next"}
    worker.end()


def test_a_modifier_whose_answer_cannot_be_shown_is_asked_again(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = """
        class Hostile:
            def __repr__(self): raise SystemExit(3)
        answers = iter([Hostile(), Hostile(), 3])
        barrier = threading.Barrier(3)
        def handler(job):
            if job["input"]:
                barrier.wait()
            return "done"
        start({"handler": handler, "concurrency_modifier": lambda current: next(answers, 3)})
        """
    worker = spawn(script)
    for _ in range(3):
        gateway.result(gateway.submit(0))
    for job_id in [gateway.submit(1) for _ in range(3)]:
        assert gateway.result(job_id) == {"output": "done"}
    worker.end()


def test_a_hook_whose_error_cannot_be_shown_is_told_of(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = (
        SCRIPT.format(base="Exception", trap="SystemExit(3)", member=TRAPS["__cause__"])
        + """
def teardown():
    raise Hostile("it broke")
start({"handler": fail, "teardown": teardown, "max_jobs": 1})
"""
    )
    worker = spawn(script)
    gateway.result(gateway.submit(0))
    assert worker.wait() == 1
    worker.wait_for_log("teardown failed: Hostile")


def test_an_input_whose_check_stops_an_iteration_ends_its_job(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = """
        import dataclasses, pathlib
        @dataclasses.dataclass
        class Request:
            file: pathlib.Path | None = None
            number: int = 0
            def __post_init__(self):
                if self.number:
                    raise StopIteration
        async def handler(request: Request) -> str:
            return "next"
        start({"handler": handler})
        """
    worker = spawn(script)
    assert "StopIteration" in gateway.result(gateway.submit({"number": 1}))["error"]
    assert gateway.result(gateway.submit({})) == {"output": "next"}
    worker.end()
