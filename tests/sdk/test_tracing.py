"""Spans from submit to result, recorded by the real OpenTelemetry SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from novita_sdk import Endpoint, errors
from novita_sdk.tracing import job_span
from tests.support.hand_worker import HandWorker
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker
from tests.support.waiting import Meanwhile


class Switch(Sampler):
    """Records while it is on: an application's tracer provider can't be taken back from the process."""

    is_on = False

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        return SamplingResult(Decision.RECORD_AND_SAMPLE if self.is_on else Decision.DROP)

    def get_description(self) -> str:
        return "switch"


@pytest.fixture(scope="module")
def recorder() -> tuple[Switch, InMemorySpanExporter]:
    switch, exporter = Switch(), InMemorySpanExporter()
    provider = TracerProvider(sampler=switch, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return switch, exporter


@pytest.fixture
def spans(recorder: tuple[Switch, InMemorySpanExporter]) -> Iterator[InMemorySpanExporter]:
    switch, exporter = recorder
    exporter.clear()
    switch.is_on = True
    yield exporter
    switch.is_on = False


def parent_of(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id


def test_one_trace_goes_from_submit_through_the_worker_to_the_result(
    endpoint: Endpoint, worker: HandWorker, spans: InMemorySpanExporter
) -> None:
    with trace.get_tracer("test").start_as_current_span("request") as request:
        job = endpoint.run({"secret": "prompt"})
        taken = worker.take()
        with job_span(taken):
            inner = trace.get_current_span().get_span_context()
        worker.finish(taken["id"], output=1)
        job.output(timeout=60)
    found = {span.name: span for span in spans.get_finished_spans()}
    assert set(found) == {"request", "novita submit", "novita job", "novita wait"}
    assert {span.context.trace_id for span in found.values()} == {request.get_span_context().trace_id}
    assert parent_of(found["novita job"]) == found["novita submit"].context.span_id
    assert found["novita job"].context.span_id == inner.span_id
    assert parent_of(found["novita submit"]) == found["request"].context.span_id
    assert taken["input"] == {"secret": "prompt"}
    assert "prompt" not in str([span.to_json() for span in found.values()])


def test_submit_worker_and_result_are_one_trace_without_an_outer_span_as_well(
    endpoint: Endpoint, worker: HandWorker, spans: InMemorySpanExporter, meanwhile: Meanwhile
) -> None:
    def work() -> None:
        for _ in range(2):
            taken = worker.take()
            with job_span(taken):
                worker.finish(taken["id"], output=1)

    meanwhile(work)
    endpoint.run({}).output(timeout=60)
    assert len({span.context.trace_id for span in spans.get_finished_spans()}) == 1
    spans.clear()
    list(endpoint.map([1]))
    assert len({span.context.trace_id for span in spans.get_finished_spans() if span.name != "novita job"}) == 1


def test_the_context_rides_in_a_header_too(
    scripted: ScriptedGateway, make_client: ClientMaker, spans: InMemorySpanExporter
) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    make_client(base_url=scripted.url).endpoint("x").run({"a": 1})
    (span,) = spans.get_finished_spans()
    (request,) = scripted.seen
    assert request.headers["traceparent"].split("-")[2] == f"{span.context.span_id:016x}"
    assert request.headers["traceparent"].encode() in request.body


def test_a_context_of_the_users_own_is_kept(
    scripted: ScriptedGateway, make_client: ClientMaker, spans: InMemorySpanExporter
) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    make_client(base_url=scripted.url).endpoint("x").run({"input": {}, "traceparent": "mine"})
    assert scripted.seen[0].body == b'{"input":{},"traceparent":"mine"}'


def test_a_failure_is_on_the_span(
    scripted: ScriptedGateway, make_client: ClientMaker, spans: InMemorySpanExporter
) -> None:
    scripted.script("run", Answer(status=401))
    with pytest.raises(errors.AuthenticationError):
        make_client(base_url=scripted.url).endpoint("x").run({})
    (span,) = spans.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (trace.StatusCode.ERROR, "AuthenticationError")


def test_a_trace_that_is_not_sampled_leaves_request_and_job_as_they_are(
    scripted: ScriptedGateway, make_client: ClientMaker, recorder: object
) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    make_client(base_url=scripted.url).endpoint("x").run({"a": 1})
    (request,) = scripted.seen
    assert request.body == b'{"input":{"a":1}}'
    assert "traceparent" not in request.headers
