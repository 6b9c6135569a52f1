"""The worker's URLs, held against the transcripts that were observed on the wire."""

from __future__ import annotations

import pytest

from novita_sdk.wire.worker_urls import WorkerUrls, append_query

pytestmark = pytest.mark.core

HOST = "http://h/v2/ep1"


def urls(worker_token: str, take_token: str, query: str = "?gpu=A+B") -> WorkerUrls:
    return WorkerUrls.from_templates(
        worker_id="pod1",
        take=f"{HOST}/job-take/{take_token}{query}",
        done=f"{HOST}/job-done/{worker_token}/$ID{query}",
        stream=f"{HOST}/job-stream/{worker_token}/$ID{query}",
        ping=f"{HOST}/ping/{worker_token}{query}",
    )


@pytest.mark.parametrize("worker_token", ["$NOVITA_POD_ID", "$RUNPOD_POD_ID"])
@pytest.mark.parametrize("take_token", ["$ID", "$NOVITA_POD_ID", "$RUNPOD_POD_ID"])
def test_transcripts(worker_token: str, take_token: str) -> None:
    made = urls(worker_token, take_token)
    assert made.take(busy=False) == f"{HOST}/job-take/pod1?gpu=A+B&job_in_progress=0"
    assert made.take(busy=True) == f"{HOST}/job-take/pod1?gpu=A+B&job_in_progress=1"
    assert made.take(busy=False, count=3) == f"{HOST}/job-take-batch/pod1?gpu=A+B&batch_size=3&job_in_progress=0"
    assert made.stop() == f"{HOST}/job-stop/pod1?gpu=A+B"
    assert made.schema() == f"{HOST}/job-schema/pod1?gpu=A+B"
    assert made.ping(["j2", "j1", "j3"], {"runpod_version": "1.12.0"}) == (
        f"{HOST}/ping/pod1?gpu=A+B&job_id=j2%2Cj1%2Cj3&runpod_version=1.12.0"
    )
    assert made.done("j1", is_stream=False) == f"{HOST}/job-done/pod1/j1?gpu=A+B&isStream=false"
    assert made.done("j1", is_stream=True) == f"{HOST}/job-done/pod1/j1?gpu=A+B&isStream=true"
    assert made.stream("j1") == f"{HOST}/job-stream/pod1/j1?gpu=A+B&isStream=false"


def test_a_template_without_a_query_gets_one() -> None:
    made = urls("$NOVITA_POD_ID", "$ID", query="")
    assert made.done("j1", is_stream=False) == f"{HOST}/job-done/pod1/j1?isStream=false"
    assert made.ping([]) == f"{HOST}/ping/pod1"


def test_a_job_id_can_not_leave_its_segment() -> None:
    made = urls("$NOVITA_POD_ID", "$ID")
    assert made.done("../x?y#z", is_stream=False) == f"{HOST}/job-done/pod1/..%2Fx%3Fy%23z?gpu=A+B&isStream=false"


def test_a_take_template_of_another_shape_has_no_stop_channel() -> None:
    made = WorkerUrls.from_templates(worker_id="w", take="http://h/next", done="", stream="", ping="")
    assert made.stop() is None
    assert made.schema() is None


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("http://h/p", "http://h/p?k=a+b"),
        ("http://h/p?", "http://h/p?k=a+b"),
        ("http://h/p?x=%20", "http://h/p?x=%20&k=a+b"),
        ("http://h/p?x=1&", "http://h/p?x=1&k=a+b"),
        ("http://h/p?x=1#f", "http://h/p?x=1&k=a+b#f"),
    ],
)
def test_a_parameter_is_added_and_what_is_there_stays(url: str, result: str) -> None:
    assert append_query(url, {"k": "a b"}) == result
    assert append_query(url, {}) == url
