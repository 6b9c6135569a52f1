"""The JSON form of the messages: exact, and strict about what it doesn't expect."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from novita_sdk import models
from novita_sdk.wire import codec

pytestmark = pytest.mark.core

MESSAGES = [item for _, item in sorted(vars(models).items()) if inspect.isclass(item) and issubclass(item, Message)]


def descriptor_of(message_type: type[Message]) -> Descriptor:
    descriptor = message_type.DESCRIPTOR
    assert isinstance(descriptor, Descriptor)
    return descriptor


def saturated(message_type: type[Message]) -> Message:
    """A message with a value that is not the default in every field."""
    values: dict[str, Any] = {}
    for number, field in enumerate(descriptor_of(message_type).fields):
        options = field.GetOptions()
        if options.Extensions[models.json_extra]:
            values[field.name] = {"unknown": b'{"kept":[1.0,2]}'}
            continue
        one: Any
        if options.Extensions[models.json_payload]:
            one = b'{"n":18446744073709551616,"f":1.0,"z":null}'
        elif field.message_type is not None:
            from google.protobuf.message_factory import GetMessageClass

            one = saturated(GetMessageClass(field.message_type))
        else:
            one = {
                FieldDescriptor.CPPTYPE_STRING: f"é{number}",
                FieldDescriptor.CPPTYPE_BOOL: True,
                FieldDescriptor.CPPTYPE_DOUBLE: 0.5,
            }.get(field.cpp_type, number + 7)
        values[field.name] = one if field.has_presence or not is_list(message_type, field) else [one, one]
    return message_type(**values)


def is_list(message_type: type[Message], field: FieldDescriptor) -> bool:
    return hasattr(getattr(message_type(), field.name), "append")


@pytest.mark.parametrize("message_type", MESSAGES, ids=lambda item: item.__name__)
def test_every_field_of_every_message_survives(message_type: type[Message]) -> None:
    message = saturated(message_type)
    data = codec.encode(message)
    assert codec.decode(message_type, data) == message
    assert len(json.loads(data)) == len(descriptor_of(message_type).fields)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_give_a_message_or_a_wire_error(data: bytes) -> None:
    for message_type in MESSAGES:
        try:
            codec.decode(message_type, data)
        except codec.WireError as error:
            assert message_type.__name__ in str(error)


json_names = st.text(max_size=5)


def json_objects(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(json_names, values, max_size=3)


json_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | json_names
json_values = st.recursive(json_scalars, lambda inner: st.lists(inner, max_size=3) | json_objects(inner))


@given(st.dictionaries(st.sampled_from(["id", "status", "output", "error", "delayTime", "workerId", "x"]), json_values))
def test_any_object_gives_a_status_or_a_wire_error(value: dict[str, Any]) -> None:
    try:
        message = codec.decode(models.JobStatus, json.dumps(value).encode())
    except codec.WireError as error:
        assert "JobStatus" in str(error)
    else:
        assert (message.id, message.status) == (value["id"], value["status"])


def test_payload_bytes_are_carried_untouched() -> None:
    raw = b'{ "seed" : 1125899906842624123, "steps":10,"cfg": 7.0, "z": null , "\xc3\xa9": "\\u00e9" }'
    message = codec.decode(models.JobRequest, b'{"input": ' + raw + b"}")
    assert message.input == raw
    assert codec.encode(message) == b'{"input":' + raw + b"}"


def test_null_is_a_payload_but_no_value_for_anything_else() -> None:
    message = codec.decode(models.JobStatus, b'{"id":"j","status":"COMPLETED","output":null,"workerId":null}')
    assert message.HasField("output")
    assert message.output == b"null"
    assert not message.HasField("worker_id")


def test_unknown_keys_of_a_job_are_kept_and_of_a_status_ignored() -> None:
    job = codec.decode(models.Job, b'{"id":"j","input":{},"batchId":[1.0]}')
    assert dict(job.extra) == {"batchId": b"[1.0]"}
    status = codec.decode(models.JobStatus, b'{"id":"j","status":"NEW_STATE","new":1}')
    assert status.status == "NEW_STATE"


@pytest.mark.parametrize(
    ("message_type", "data", "problem"),
    [
        (models.JobStatus, b'{"id":"j"}', "JobStatus.status is missing"),
        (models.JobStatus, b'{"id":null,"status":"PENDING"}', "JobStatus.id is missing"),
        (models.JobStatus, b'{"id":7,"status":"PENDING"}', "JobStatus.id must be a string"),
        (models.JobStatus, b'{"id":"j","status":"PENDING","delayTime":1.5}', "JobStatus.delayTime must be an integer"),
        (models.JobStatus, b'{"id":"j","status":"PENDING","delayTime":true}', "JobStatus.delayTime must be an integer"),
        (models.JobStatus, b'{"id":"j","status":"PENDING","retries":4294967296}', "JobStatus.retries must be an int"),
        (models.JobRequest, b"{}", "JobRequest.input is missing"),
        (models.JobRequest, b'{"input":{},"policy":[]}', "ExecutionPolicy: Expected `object`"),
        (models.JobRequest, b'{"input":{},"policy":{"lowPriority":1}}', "ExecutionPolicy.lowPriority must be true or"),
        (models.JobRequest, b'{"input":NaN}', "JobRequest: not JSON"),
        (models.JobRequest, b'{"input":"\xff"}', "JobRequest: the bytes are not UTF-8"),
        (models.JobRequest, b'{"input":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}", "JobRequest: nested too deeply"),
        (models.WatchStopsResponse, b'{"jobsToStop":"j1"}', "WatchStopsResponse.jobsToStop must be an array"),
        (models.WatchStopsResponse, b'{"jobsToStop":[1]}', "WatchStopsResponse.jobsToStop must be a string"),
        (models.Job, b"<html>", "Job: not JSON"),
        (models.Job, b"", "Job: empty where a JSON object was expected"),
    ],
)
def test_a_wire_error_names_message_and_field(message_type: type[Message], data: bytes, problem: str) -> None:
    with pytest.raises(codec.WireError) as caught:
        codec.decode(message_type, data)
    assert str(caught.value).startswith(problem)


@pytest.mark.parametrize("text", [b'"12"', b"12", b"12.0"])
def test_whole_numbers_are_integers_however_they_are_written(text: bytes) -> None:
    message = codec.decode(models.JobStatus, b'{"id":"j","status":"PENDING","delayTime":' + text + b"}")
    assert message.delay_time == 12


def test_an_empty_required_field_is_not_sent() -> None:
    with pytest.raises(codec.WireError, match=r"JobRequest\.input is empty"):
        codec.encode(models.JobRequest())


@pytest.mark.parametrize(
    ("data", "job"),
    [
        (b'{"id":"j","policy":"none"}', models.Job(id="j", extra={"policy": b'"none"'})),
        (b'{"id":7,"input":NaN,"attempt":2}', models.Job(input=b"NaN", attempt=2, extra={"id": b"7"})),
        (
            b'{"id":"j","input":1,"policy":{"ttl":"5","executionTimeout":[]}}',
            models.Job(id="j", input=b"1", policy=models.ExecutionPolicy(ttl=5)),
        ),
        (b'{"id":"j","webhook":null,"policy":{}}', models.Job(id="j", policy=models.ExecutionPolicy())),
        (b"{}", models.Job()),
        (b"3", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_salvage_loses_no_more_than_the_odd_value(data: bytes, job: models.Job | None) -> None:
    assert codec.salvage(models.Job, data) == [job]
    if data.strip() and data != b"<html>":
        neighbour = models.Job(id="k", input=b"{}")
        assert codec.salvage(models.Job, b' [%b, {"id":"k","input":{}}]' % data) == [job, neighbour]


def test_salvage_keeps_the_good_items_of_a_list() -> None:
    data = b'{"jobsToStop":["a",7,null,"b"]}'
    assert codec.salvage(models.WatchStopsResponse, data) == [models.WatchStopsResponse(jobs_to_stop=["a", "b"])]
    assert codec.salvage(models.WatchStopsResponse, b'{"jobsToStop":"a"}') == [models.WatchStopsResponse()]


@pytest.mark.parametrize("data", [b"[1,", b'{"id":"\xff"}'])
def test_salvage_reads_nothing_from_what_is_broken_as_a_whole(data: bytes) -> None:
    with pytest.raises(codec.WireError):
        codec.salvage(models.Job, data)
