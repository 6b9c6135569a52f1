"""OpenTelemetry spans from submit through the worker to the result, where `opentelemetry-api` is installed.

The context of a submit rides in the headers `traceparent` and `tracestate` of its request (W3C Trace Context) and in
the members of the same names beside the job's input, so that the worker's span is its child. Nothing is recorded unless
the application configures an SDK, and nothing is loaded where the API is not installed. Payloads are never recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Final, Literal

from novita_sdk._version import __version__

__all__ = ["CARRIER_KEYS", "job_span", "span"]

CARRIER_KEYS: Final = ("traceparent", "tracestate")


@contextmanager
def span(
    name: str,
    kind: Literal["PRODUCER", "CLIENT"],
    attributes: Mapping[str, str],
    *,
    parent: Mapping[str, str] | None = None,
) -> Iterator[dict[str, str]]:
    """Records what happens inside, and gives the headers that name it; empty where nothing is recorded.

    Args:
        name: What the span is called.
        kind: What it is.
        attributes: What it is about.
        parent: The headers of the span it belongs to where none is current.
    """
    if not _is_installed():
        yield {}
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    propagator = TraceContextTextMapPropagator()
    is_orphan = not trace.get_current_span().get_span_context().is_valid
    # Not made the current one: a flow is suspended inside it, while the caller's thread goes on with other things.
    recorded = trace.get_tracer("novita_sdk", __version__).start_span(
        name,
        context=propagator.extract(dict(parent)) if parent and is_orphan else None,
        kind=trace.SpanKind[kind],
        attributes=dict(attributes),
    )
    carrier: dict[str, str] = {}
    # A trace that is not sampled leaves the request and the job as they are.
    if recorded.is_recording():
        propagator.inject(carrier, context=trace.set_span_in_context(recorded))
    try:
        yield carrier
    except Exception as error:
        recorded.record_exception(error)
        recorded.set_status(trace.StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        recorded.end()


@contextmanager
def job_span(job: Mapping[str, object]) -> Iterator[None]:
    """For a worker: makes a span of the handler's run the current one, as a child of the submit that the job names."""
    if not _is_installed():
        yield
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {key: value for key in CARRIER_KEYS if isinstance(value := job.get(key), str)}
    with trace.get_tracer("novita_sdk", __version__).start_as_current_span(
        "novita job",
        context=TraceContextTextMapPropagator().extract(carrier),
        kind=trace.SpanKind.CONSUMER,
        attributes={"novita.job_id": str(job.get("id"))},
    ):
        yield


@cache
def _is_installed() -> bool:
    return find_spec("opentelemetry") is not None and find_spec("opentelemetry.trace") is not None
