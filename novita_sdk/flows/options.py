"""The options of a submit, beside its input: the same ones on every way to submit."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypedDict, cast

from novita_sdk.wire.nearest import did_you_mean

if TYPE_CHECKING:
    from novita_sdk.wire.payload import JSONValue

__all__ = [
    "MISSING",
    "Explicit",
    "Missing",
    "Policy",
    "RunOptions",
    "SubmitOptions",
    "choose_input",
    "known_options",
]


class Policy(TypedDict, total=False):
    """Limits of one job.

    Attributes:
        executionTimeout: Longest time one attempt may run, in milliseconds.
        ttl: Longest time from the submit to a final state, in milliseconds.
        lowPriority: Whether the job is taken after all others.
    """

    executionTimeout: int
    ttl: int
    lowPriority: bool


class SubmitOptions(TypedDict, total=False):
    """Keyword arguments of `run`, `run_sync`, `map` and the methods of generated clients; None counts as left out.

    Attributes:
        webhook: URL that the gateway calls with the final status, where it offers that.
        policy: `executionTimeout` and `ttl` in milliseconds, `lowPriority`.
        low_priority: The policy's `lowPriority`.
        s3_config: Bucket for this job's outputs: `endpointUrl`, `accessId`, `accessSecret`, `bucketName`, `region`.
        idempotency_key: A second submit with the same key returns the first one's job, where the gateway recognises
            keys. Left out, every call has a key of its own, under which it is tried again if its answer is lost. The
            key of a `map` is part of the key of each of its inputs.
        check: Ask the gateway for the schema of the endpoint's worker, and refuse an input that breaks it. Where there
            is none, nothing is refused.
    """

    webhook: str | None
    policy: Policy | None
    low_priority: bool | None
    s3_config: Mapping[str, JSONValue] | None
    idempotency_key: str | None
    check: bool


class RunOptions(SubmitOptions, total=False):
    """Keyword arguments of `run` and of the methods of generated clients.

    Attributes:
        timeout: Seconds without a byte before one request counts as lost; None for the client's.
    """

    timeout: float | None


class Missing(enum.Enum):
    """The word for an argument that was left out, where None is a value."""

    MISSING = enum.auto()

    def __repr__(self) -> str:
        return self.name


MISSING: Final = Missing.MISSING


@dataclass(frozen=True, slots=True)
class Explicit:
    """An input that was named as such, and is never taken for a whole request."""

    value: object


def choose_input(call: str, request_input: object, named: object) -> object:
    """The input of a call, which is given by its position or by its name.

    Raises:
        TypeError: It is given twice or not at all.
    """
    if (request_input is MISSING) == (named is MISSING):
        given = "no input" if named is MISSING else "two inputs"
        raise TypeError(f"{call}() got {given}: pass one as the first argument or as input=…. Nothing was sent.")
    return request_input if named is MISSING else Explicit(named)


def known_options(call: str, options: Mapping[str, object], *others: str) -> RunOptions:
    """The options of a call, every one of which is known.

    Args:
        call: The method's name.
        options: As they were passed.
        *others: Keywords that the method takes itself.

    Raises:
        TypeError: Names one that is not known, and what may have been meant.
    """
    known = RunOptions.__optional_keys__ if call == "run" else SubmitOptions.__optional_keys__
    for name in options:
        if name not in known:
            hint = did_you_mean(name, sorted({*known, *others}))
            raise TypeError(f"{call}() has no option {name!r}; {hint} Nothing was sent.")
    return cast("RunOptions", options)
