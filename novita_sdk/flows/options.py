"""The options of a submit, beside its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from novita_sdk.wire.payload import JSONValue

__all__ = ["RunOptions", "SubmitOptions"]


class SubmitOptions(TypedDict, total=False):
    """Keyword arguments of `run`, `run_sync` and `map`; None counts as left out.

    Attributes:
        webhook: URL that the gateway calls with the final status, where it offers that.
        policy: `executionTimeout` and `ttl` in milliseconds, `lowPriority`.
        s3_config: Bucket for this job's outputs: `endpointUrl`, `accessId`, `accessSecret`, `bucketName`.
    """

    webhook: str | None
    policy: Mapping[str, JSONValue] | None
    s3_config: Mapping[str, JSONValue] | None


class RunOptions(SubmitOptions, total=False):
    """Keyword arguments of `run`.

    Attributes:
        idempotency_key: See `Endpoint.run`.
        check: See `Endpoint.run`.
        timeout: See `Endpoint.run`.
    """

    idempotency_key: str | None
    check: bool
    timeout: float | None
