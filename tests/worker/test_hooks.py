"""`setup` and `teardown`, around the jobs."""

from __future__ import annotations

import signal

import pytest

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn

HOOKS = """
    def setup():
        logging.warning("setup in %s", threading.current_thread().name)
    def teardown():
        logging.warning("teardown")
    def handler(job):
        return 1
    start({"handler": handler, "setup": setup, "teardown": teardown})
    """


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_setup_and_teardown_run_once_around_the_jobs(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    worker = spawn(HOOKS if kind == "sync" else HOOKS.replace("def ", "async def "))
    for _ in range(2):
        gateway.result(gateway.submit())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert worker.stderr.count("setup in MainThread") == worker.stderr.count("teardown") == 1


def test_a_setup_that_fails_ends_the_worker_before_its_first_take(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn("def setup():\n    raise OSError('no weights')\nstart({'handler': lambda job: 1, 'setup': setup})\n")
    assert worker.wait() == 1
    assert "setup failed" in worker.stderr
    assert "no weights" in worker.stderr
    assert gateway.of("take") == []


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_what_setup_puts_into_the_context_is_there_for_the_handler(
    gateway: WorkerGateway, spawn: Spawn, keyword: str
) -> None:
    spawn(
        f"""
        import contextvars
        model = contextvars.ContextVar("model")
        def setup():
            model.set("loaded")
        {keyword} handler(job):
            return model.get()
        start({{"handler": handler, "setup": setup}})
        """
    )
    assert gateway.result(gateway.submit()) == {"output": "loaded"}


def test_a_signal_during_setup_ends_it(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        "def setup():\n    logging.warning('loading')\n    time.sleep(600)\n"
        "start({'handler': lambda job: 1, 'setup': setup})\n"
    )
    worker.wait_for_log("loading")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_a_signal_just_before_setup_is_not_slept_through(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        import signal
        import novita_worker._worker as module
        new_loop = module.new_loop
        def loop_of_a_worker_that_was_told_to_end():
            os.kill(os.getpid(), signal.SIGTERM)
            return new_loop()
        module.new_loop = loop_of_a_worker_that_was_told_to_end
        start({"handler": lambda job: 1, "setup": lambda: time.sleep(600)})
        """
    )
    assert worker.wait() == 0
    assert gateway.of("take") == []
