"""Handlers that start processes, and that change what the process they run in does with signals and streams."""

from __future__ import annotations

import signal

import pytest

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import START, Spawn, WorkerProcess

QUIET = "import warnings\nwarnings.simplefilter('ignore')  # newer Pythons warn of every fork beside threads\n"


def assert_serves(gateway: WorkerGateway, worker: WorkerProcess) -> None:
    """It takes another job, and ends in good order on the first signal."""
    gateway.result(gateway.submit(None))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert "again: the worker ends now" not in worker.stderr


@pytest.mark.parametrize("concurrency", [1, 2])
def test_a_pool_of_forked_processes_comes_and_goes(gateway: WorkerGateway, spawn: Spawn, concurrency: int) -> None:
    worker = spawn(
        QUIET
        + f"""
import multiprocessing
def handler(job):
    with multiprocessing.get_context("fork").Pool(2) as pool:  # its end is a SIGTERM to each of them
        return pool.map(abs, [-1, -2])
start({{"handler": handler, "concurrency": {concurrency}}})
"""
    )
    assert gateway.result(gateway.submit()) == {"output": [1, 2]}
    assert_serves(gateway, worker)


def test_a_spawned_process_imports_the_main_file_without_becoming_a_worker(
    gateway: WorkerGateway, spawn: Spawn
) -> None:
    worker = spawn(
        """
        import multiprocessing
        def child(queue):
            queue.put(os.getppid())
        def handler(job):
            context = multiprocessing.get_context("spawn")
            queue = context.SimpleQueue()
            process = context.Process(target=child, args=(queue,))
            process.start()
            process.join()
            return [queue.get() == os.getpid(), process.exitcode]
        start({"handler": handler})  # not guarded by __name__
        """
    )
    assert gateway.result(gateway.submit()) == {"output": [True, 0]}
    assert_serves(gateway, worker)


def test_a_program_is_run_and_killed(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        import subprocess
        def handler(job):
            process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            process.terminate()
            return process.wait()
        """
        + START
    )
    assert gateway.result(gateway.submit()) == {"output": -signal.SIGTERM}
    assert_serves(gateway, worker)


@pytest.mark.parametrize(
    ("leaves", "status"), [("return 'from the child'", 0), ("sys.exit(7)", 7), ("sys.exit()", 0), ("1 / 0", 1)]
)
@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_forked_child_that_leaves_the_handler_ends(
    gateway: WorkerGateway, spawn: Spawn, keyword: str, leaves: str, status: int
) -> None:
    worker = spawn(
        QUIET
        + f"""
{keyword} handler(job):
    child = os.fork()
    if child == 0:
        {leaves}
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
start({{"handler": handler}})
"""
    )
    assert gateway.result(gateway.submit()) == {"output": status}
    assert_serves(gateway, worker)


def test_a_signal_to_a_forked_child_is_not_the_workers(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        QUIET
        + """
def handler(job):
    codes = set()
    for _ in range(50):
        child = os.fork()
        if child == 0:
            time.sleep(600)
            os._exit(0)
        os.kill(child, 15)
        codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return codes.pop() if len(codes) == 1 else list(codes)
"""
        + START
    )
    assert gateway.result(gateway.submit()) == {"output": -signal.SIGTERM}
    assert_serves(gateway, worker)


OWN_SIGNALS = {
    "a handler of its own": """
        import signal
        def handler(job):
            signal.signal(signal.SIGTERM, lambda *_: logging.warning("mine too"))
            return 1
        """,
    "handlers of a loop": """
        import signal
        async def serve():
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGTERM, print)
            loop.add_signal_handler(signal.SIGUSR1, print)
            await asyncio.sleep(0)
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGUSR1)
        def handler(job):
            asyncio.run(serve())
            return 1
        """,
    "a handler of a loop that goes on": """
        import signal
        async def handler(job):
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
            return 1
        """,
    "a wakeup descriptor": """
        import signal
        def handler(job):
            signal.set_wakeup_fd(-1)
            return 1
        """,
}


@pytest.mark.parametrize(
    ("how", "where"),
    [
        (how, where)
        for how in OWN_SIGNALS
        for where in ("handler", "setup")
        # A job that gives the signals their default back is taken at its word.
        if (how, where) != ("handlers of a loop", "handler")
    ],
)
def test_a_worker_whose_code_takes_the_signals_still_ends_in_good_order(
    gateway: WorkerGateway, spawn: Spawn, how: str, where: str
) -> None:
    config = '{"handler": handler}'
    if where == "setup":
        word = "async def" if "async def handler" in OWN_SIGNALS[how] else "def"
        config = '{"handler": real, "setup": lambda: handler(None)}'
        real = f"        {word} real(job):\n            return 1\n"
    else:
        real = ""
    worker = spawn(OWN_SIGNALS[how].rstrip() + "\n" + real + f"        start({config})\n")
    assert gateway.result(gateway.submit()) == {"output": 1}
    assert_serves(gateway, worker)


@pytest.mark.parametrize(
    "rude",
    [
        "sys.stdout.close()",
        "sys.stderr.close()",
        "os.close(1)",
        "sys.stdout = sys.stderr = None",
        "logging.shutdown()",
        "os.chdir('/')",
        "sys.setrecursionlimit(60)",
        "asyncio.set_event_loop_policy(None)",
        "asyncio.set_event_loop_policy(Refusing())",
        "threading.stack_size(16 * 1024 * 1024)",
        "os.environ.clear()",
    ],
)
def test_a_handler_that_changes_the_process_does_not_take_the_worker_with_it(
    gateway: WorkerGateway, spawn: Spawn, rude: str
) -> None:
    worker = spawn(
        f"""
        class Refusing(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                raise RuntimeError("no loops today")
            def get_event_loop(self):
                raise RuntimeError("no loops today")
        def handler(job):
            if job["input"]:
                {rude}
            return 1
        start({{"handler": handler}})
        """
    )
    assert gateway.result(gateway.submit(True)) == {"output": 1}
    assert_serves(gateway, worker)
