"""Workers of `tests/typed/typed_worker.py`, each with an endpoint of its own."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from novita_gateway import Gateway
from novita_sdk import Client, Endpoint
from tests.support.processes import python_process
from tests.support.repository import ROOT
from tests.support.world import wait_for_worker

SCRIPT = ROOT / "tests" / "typed" / "typed_worker.py"


class Serve(Protocol):
    """Starts a worker of a kind and with a config, and returns its endpoint."""

    def __call__(self, kind: str, **config: object) -> Endpoint: ...


@contextmanager
def typed_workers(
    gateway: Gateway, client: Client, generated: Path, cwd: Path, environment: Mapping[str, str]
) -> Iterator[Serve]:
    """Starts workers, which end with the block; `generated` is the source root of their messages."""
    path = os.pathsep.join([str(generated), os.environ.get("PYTHONPATH", "")])
    count = itertools.count()
    with ExitStack() as workers:

        def start(kind: str, **config: object) -> Endpoint:
            name = f"{kind}-{next(count)}-{cwd.name}".replace("_", "-").lower()
            variables = {**environment, **gateway.worker_env(name), "PYTHONPATH": path}
            worker = python_process(SCRIPT, kind, json.dumps(config), environment=variables, cwd=cwd)
            # A test may be over before the worker has begun to listen to signals.
            workers.callback(wait_for_worker, workers.enter_context(worker), gateway, name)
            return client.endpoint(name)

        yield start
