"""Times of the steps of a job: what `--rp_debugger` puts into its output."""

from __future__ import annotations

import functools
import inspect
import platform
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Final, Generic, ParamSpec, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from novita_sdk._version import __version__
from novita_sdk.wire.payload import JSONValue
from novita_worker.handlers.context import JobContext, current_context

__all__ = ["Checkpoints", "FunctionTimer", "LineTimer", "clear_debugger_output", "get_debugger_output"]

P = ParamSpec("P")
R = TypeVar("R")

Steps: TypeAlias = deque[dict[str, JSONValue]]

_MOST_STEPS: Final = 1000
"""The newest ones are kept: a thread of a handler may time its work for ever, and nobody may ever ask."""

_of_jobs: Final[WeakKeyDictionary[JobContext, Steps]] = WeakKeyDictionary()
_of_nobody: Final[Steps] = deque(maxlen=_MOST_STEPS)


def _steps() -> Steps:
    """The steps of the job that runs here, so that jobs at the same time have their own."""
    context = current_context.get()
    return _of_nobody if context is None else _of_jobs.setdefault(context, deque(maxlen=_MOST_STEPS))


class Checkpoints:
    """The steps of the running job, by name: `add`, then `start`, then `stop`. A name may come again."""

    def add(self, name: str) -> None:
        """Adds a step."""
        _steps().append({"name": name})

    def start(self, name: str) -> None:
        """Starts the step that was last added by this name.

        Raises:
            KeyError: There is none.
        """
        step = self._find(name)
        step["start"], step["start_utc"] = time.perf_counter(), _now()

    def stop(self, name: str) -> None:
        """Ends the step that was last added by this name.

        Raises:
            KeyError: There is none, or it was not started.
        """
        step = self._find(name)
        if "start" not in step:
            raise KeyError(f"the checkpoint {name!r} was not started")
        step["end"], step["stop_utc"] = time.perf_counter(), _now()

    def get_checkpoints(self) -> list[dict[str, JSONValue]]:
        """The steps that have ended: `name`, `duration_ms`, `start_utc` and `stop_utc`."""
        return [
            {
                "name": step["name"],
                "start_utc": step["start_utc"],
                "stop_utc": step["stop_utc"],
                "duration_ms": (step["end"] - step["start"]) * 1000,
            }
            for step in _steps()
            if "end" in step
        ]

    def clear(self) -> None:
        """Forgets all steps."""
        _steps().clear()

    def _find(self, name: str) -> dict[str, JSONValue]:
        for step in reversed(_steps()):
            if step["name"] == name:
                return step
        raise KeyError(f"there is no checkpoint {name!r}")


class LineTimer:
    """Times the lines of a `with` block."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.checkpoints = Checkpoints()
        self.checkpoints.add(name)

    def __enter__(self) -> None:
        self.checkpoints.start(self.name)

    def __exit__(self, *args: object) -> None:
        self.checkpoints.stop(self.name)


class FunctionTimer(Generic[P, R]):
    """Times each call of a function, as a decorator; of an async one, until it is done."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Calls the function."""
        with ExitStack() as timed:
            timed.enter_context(LineTimer(self.function.__name__))
            result = self.function(*args, **kwargs)
            if inspect.isawaitable(result):
                return _awaited(result, timed.pop_all())  # type: ignore[return-value]  # an awaitable of the same
        return result


async def _awaited(result: Awaitable[object], timed: ExitStack) -> object:
    with timed:
        return await result


def get_debugger_output() -> dict[str, JSONValue]:
    """Takes the steps of the running job, and says where it runs."""
    steps = Checkpoints().get_checkpoints()
    clear_debugger_output()
    return {
        "system_info": {
            "os": f"{platform.system()} {platform.release()}",
            "processor": platform.processor() or platform.machine(),
            "python_version": platform.python_version(),
            "novita_gpus": __version__,
        },
        "timestamps": steps,
    }


def clear_debugger_output() -> None:
    """Forgets the steps of the running job."""
    Checkpoints().clear()


def with_debugger_output(handler: Callable[..., object]) -> Callable[..., object]:
    """A handler whose output, where it is a dictionary, has the times as `rp_debugger`."""

    @functools.wraps(handler)
    def call(*args: object, **kwargs: object) -> object:
        result = handler(*args, **kwargs)
        return _added_later(result) if inspect.isawaitable(result) else _added(result)

    return call


async def _added_later(result: Awaitable[object]) -> object:
    return _added(await result)


def _added(output: object) -> object:
    return {**output, "rp_debugger": get_debugger_output()} if isinstance(output, dict) else output


def _now() -> str:
    return datetime.now(UTC).isoformat()
