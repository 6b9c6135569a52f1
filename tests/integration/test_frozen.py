"""A worker that PyInstaller made one file of serves, and pings while its handler holds the GIL; its children report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from novita_gateway import Gateway, Limits, MemoryStore, serve_in_thread
from novita_sdk import Client
from tests.support.environment import plain_environment
from tests.support.waiting import DEADLINE

LEASE = 3_000
PROGRAM = """
import ctypes, multiprocessing, os, sys, time
import novita_gpus

def child(job):
    novita_gpus.progress_update(job, ["from a child", getattr(sys, "frozen", False)])

def handler(job):
    process = multiprocessing.get_context("spawn").Process(target=child, args=(job,))
    process.start()
    process.join()
    while not os.path.exists(job["input"]):
        time.sleep(0.01)
    ctypes.PyDLL(None).sleep(7)  # with the GIL, for two leases and more
    return {"attempt": job["attempt"], "children": process.exitcode}

if __name__ == "__main__":
    multiprocessing.freeze_support()
    novita_gpus.start({"handler": handler, "progress_interval": 0})
"""
# What a worker can do without, and would take most of the time.
LEFT_OUT = (
    *("numpy", "grpc", "boto3", "botocore", "pydantic", "protovalidate", "opentelemetry", "cryptography", "uvloop"),
    *("moto", "pytest", "hypothesis", "mypy", "setuptools", "tqdm", "tkinter"),
)


def freeze(folder: Path) -> Path:
    """Builds the program, in less than half a minute on a calm machine."""
    pytest.importorskip("PyInstaller", reason="pip install pyinstaller: no program can be frozen without it")
    if shutil.which("objdump") is None and sys.platform == "linux":
        pytest.skip("PyInstaller needs objdump, of binutils")
    (folder / "app.py").write_text(PROGRAM)
    places = [f"--{name}path={folder / name}" for name in ("dist", "work", "spec")]
    options = [f"--exclude-module={name}" for name in LEFT_OUT]
    command = [sys.executable, "-m", "PyInstaller", "--onefile", "--log-level=ERROR", *places, *options, "app.py"]
    environment = {**os.environ, "PYINSTALLER_CONFIG_DIR": str(folder / "config")}
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=4 * DEADLINE)
    return folder / "dist" / "app"


def test_a_program_of_one_file_serves_and_keeps_its_lease(tmp_path: Path) -> None:
    program = freeze(tmp_path)
    gateway = Gateway(store=MemoryStore(limits=Limits(lease=LEASE)))
    with serve_in_thread(lambda: gateway) as serving, (tmp_path / "log").open("w") as log:
        environment = {**plain_environment(), **serving.worker_env("frozen")}
        worker = subprocess.Popen([program], env=environment, stderr=log)
        try:
            with Client(api_key=serving.api_key, base_url=serving.url) as client:
                job = client.endpoint("frozen").run(input=str(tmp_path / "go"))
                for update in job.updates(timeout=DEADLINE):
                    if update.progress == ["from a child", True]:
                        (tmp_path / "go").touch()
                assert job.output(timeout=DEADLINE) == {"attempt": 1, "children": 0}
            worker.terminate()
            assert worker.wait(DEADLINE) == 0
        finally:
            worker.kill()
            worker.wait()
    said = (tmp_path / "log").read_text()
    assert "heartbeat" not in said
    assert "thread" not in said
