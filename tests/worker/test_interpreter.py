"""`sys.executable` need not be a Python: a worker may be a frozen program, or Python a guest in another one."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from novita_sdk._interpreter import interpreter
from novita_worker.process.forks import is_multiprocessing
from tests.support.processes import children, wait_until_gone
from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import ECHO, Spawn

COUNTED = """
with open("starts", "a") as file:
    file.write("x")
"""

ZIPPED = """
import shutil
from pathlib import Path
package = Path(novita_worker.__file__).parent
os.makedirs("in/novita_worker")
shutil.copytree(package, "in/novita_worker", dirs_exist_ok=True)
shutil.make_archive("packed", "zip", "in")
for name in [name for name in sys.modules if name.partition(".")[0] == "novita_worker"]:
    del sys.modules[name]
sys.path.insert(0, "packed.zip")
from novita_worker import start
assert "packed.zip" in start.__code__.co_filename
"""


def as_program(path: Path, frozen: str) -> str:
    """Lines that make the script what a freezer makes of it: a program that is its own `sys.executable`."""
    return (
        f"""
from pathlib import Path
program = Path({str(path)!r})
if not program.exists():
    program.write_text("#!{sys.executable}\\n" + Path(__file__).read_text())
    program.chmod(0o755)
sys.executable = str(program)
{frozen}
"""
        + COUNTED
    )


@pytest.mark.parametrize(
    "frozen", ["sys.frozen = True", "import types; __compiled__ = types.SimpleNamespace(standalone=True)"]
)
def test_a_frozen_worker_serves_and_pings_from_a_copy_and_starts_nothing(
    gateway: WorkerGateway, spawn: Spawn, tmp_path: Path, frozen: str
) -> None:
    worker = spawn(as_program(tmp_path / "app", frozen) + ECHO)
    gateway.wait_for(lambda: len(gateway.of("ping")) > 2)
    job_id = gateway.submit("served")
    assert gateway.result(job_id) == {"output": "served"}
    assert len(children(worker.pid)) == 1
    assert (worker.log.parent / "starts").read_text() == "x"
    assert "thread" not in worker.stderr
    worker.end()
    assert "Traceback" not in worker.stderr


def test_a_frozen_worker_pings_while_its_handler_holds_the_gil(
    gateway: WorkerGateway, spawn: Spawn, tmp_path: Path
) -> None:
    handler = """
import ctypes
os.mkfifo("release")
def handler(job):
    while not os.path.exists("begun"):
        time.sleep(0.01)
    ctypes.PyDLL(None).system(b"echo held >&2; cat release >&2")  # PyDLL keeps the GIL
    return "held"
start({"handler": handler})
"""
    worker = spawn(as_program(tmp_path / "app", "sys.frozen = True") + handler)
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("stop"))
    worker.let_go("begun")
    worker.wait_for_log("held")
    count = len(gateway.of("ping"))
    gateway.wait_for(lambda: len(gateway.of("ping")) > count + 3)
    assert {ping.query for ping in gateway.of("ping")[count + 1 :]} == {f"gpu=A+B&job_id={job_id}"}
    (worker.log.parent / "release").write_text("")
    assert gateway.result(job_id) == {"output": "held"}
    worker.end()


def test_the_copy_has_none_of_the_programs_files_and_ends_with_it(
    gateway: WorkerGateway, spawn: Spawn, tmp_path: Path
) -> None:
    worker = spawn(as_program(tmp_path / "app", "sys.frozen = True") + "kept = open('starts')\n" + ECHO)
    gateway.wait_for(lambda: len(gateway.of("ping")) > 1)
    (supervisor,) = children(worker.pid)
    (pinger,) = children(supervisor)
    opened = [link.readlink().name for link in Path(f"/proc/{pinger}/fd").iterdir()]
    assert "starts" not in opened
    assert len(opened) < 10, opened
    worker.send_signal(signal.SIGKILL)
    for process in (supervisor, pinger):
        wait_until_gone(process)


def test_where_the_copy_is_killed_a_thread_pings(gateway: WorkerGateway, spawn: Spawn, tmp_path: Path) -> None:
    worker = spawn(as_program(tmp_path / "app", "sys.frozen = True") + ECHO)
    gateway.wait_for(lambda: len(gateway.of("ping")) > 1)
    (supervisor,) = children(worker.pid)
    os.kill(supervisor, signal.SIGKILL)
    worker.wait_for_log("a thread of the worker pings, which stops while a handler holds the GIL")
    before = len(gateway.of("ping"))
    gateway.wait_for(lambda: len(gateway.of("ping")) > before + 1)
    worker.end()


@pytest.mark.parametrize("executable", ["", "/usr/sbin/uwsgi", "/opt/blender/blender"])
def test_where_python_is_a_guest_its_own_program_pings(gateway: WorkerGateway, spawn: Spawn, executable: str) -> None:
    worker = spawn(f"sys.executable = {executable!r}\n" + ECHO)
    gateway.wait_for(lambda: len(gateway.of("ping")) > 1)
    assert len(children(worker.pid)) == 1
    assert "thread" not in worker.stderr


def test_a_program_that_looks_like_python_is_started_a_few_times_and_never_serves(
    gateway: WorkerGateway, spawn: Spawn, tmp_path: Path
) -> None:
    worker = spawn(as_program(tmp_path / "python3", "") + ECHO)
    worker.wait_for_log("does not start as a process of its own: a thread of the worker pings")
    gateway.wait_for(lambda: len(gateway.of("ping")) > 1)
    assert gateway.result(gateway.submit(1)) == {"output": 1}
    assert (worker.log.parent / "starts").read_text() == "xxxxxx"
    assert "is not Python but a program of its own" in worker.stderr
    worker.end()


def test_a_process_of_multiprocessing_is_no_worker(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn("sys.frozen = True\n" + ECHO, "--multiprocessing-fork", "tracker_fd=5")
    assert worker.wait() == 1
    assert "call multiprocessing.freeze_support()" in worker.stderr
    assert gateway.requests == []


def test_a_worker_in_a_zip_has_a_heartbeat_of_its_own(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(ZIPPED + ECHO)
    gateway.wait_for(lambda: len(gateway.of("ping")) > 1)
    assert len(children(worker.pid)) == 1
    assert "thread" not in worker.stderr


def test_this_very_interpreter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert interpreter() == sys.executable
    monkeypatch.setattr(sys, "executable", "")
    found = interpreter()
    assert found is not None
    assert Path(found).parent == Path(sys.prefix) / "bin"
    monkeypatch.setattr(sys, "prefix", "/nowhere")
    monkeypatch.setattr(sys, "base_prefix", "/nowhere")
    assert interpreter() is None


def test_the_arguments_of_multiprocessing_are_known() -> None:
    assert is_multiprocessing(["app", "--multiprocessing-fork", "pipe_handle=9"])
    assert is_multiprocessing(["app", "-B", "-c", "from multiprocessing.resource_tracker import main;main(5)"])
    assert not is_multiprocessing(["app", "--test_input", "{}"])
