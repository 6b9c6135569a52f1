"""Every module of the SDK can be the first one that a program imports."""

from __future__ import annotations

import subprocess
import sys

# A bare interpreter forks for each module, so that none finds what another one has loaded.
PROGRAM = """
import os, pkgutil, traceback
from importlib import import_module
from importlib.util import find_spec

def modules(package):
    yield package
    for found in pkgutil.walk_packages(find_spec(package).submodule_search_locations, package + "."):
        yield found.name

def names():
    read, write = os.pipe()
    if not (child := os.fork()):
        os.write(write, " ".join(modules("novita_sdk")).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(read, 1 << 16).decode().split()

for name in names():
    if not (child := os.fork()):
        try:
            import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(name, "ok" if status == 0 else "FAILED")
"""


def test_every_module_imports_on_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=120)
    said = dict(line.split() for line in done.stdout.splitlines())
    assert {"novita_sdk", "novita_sdk.client.typed_job", "novita_sdk.wire.codec"} <= set(said)
    assert [name for name, word in said.items() if word != "ok"] == [], done.stderr
