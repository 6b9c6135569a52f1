"""Following a stream by its cursors, from gateways that give them and from those that don't."""

from __future__ import annotations

from typing import Any

import pytest

from novita_sdk import Endpoint, errors
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker

OURS = {"Novita-Long-Poll": "60000"}
RESET = Answer(fault="reset")


@pytest.fixture
def endpoint(scripted: ScriptedGateway, make_client: ClientMaker) -> Endpoint:
    return make_client(base_url=scripted.url, timeout=20.0, retry_budget=40.0).endpoint("x")


def page(first: int, *chunks: object, status: str = "IN_PROGRESS", take: int = 1) -> Answer:
    """An answer to a cursor."""
    body: dict[str, Any] = {"status": status, "stream": [{"output": chunk} for chunk in chunks], "first": first}
    return Answer(body={**body, "nextCursor": f"{take}-{first + len(chunks)}"}, headers=OURS)


def cursors(scripted: ScriptedGateway) -> list[str | None]:
    return [request.query.get("cursor") for request in scripted.calls("stream")]


def test_a_page_that_is_lost_is_asked_for_again(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script(
        "stream",
        RESET,
        page(0, "a", "b"),
        Answer(status=503, headers=OURS),
        Answer(fault="truncate", body={"status": "IN_PROGRESS"}, headers=OURS),
        page(2, "c", status="COMPLETED"),
        page(3, status="COMPLETED"),
    )
    assert list(endpoint.job("j").stream(timeout=60)) == ["a", "b", "c"]
    asked = cursors(scripted)
    assert (asked[0], asked[-1]) == ("0", "1-3")
    assert set(asked[asked.index("1-2") : -1]) == {"1-2"}


def test_an_answer_to_another_question_is_not_handed_on(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script(
        "stream",
        page(0, "a"),
        page(1, "b"),
        page(1, "b"),  # out of a cache
        Answer(body={"status": "IN_PROGRESS", "stream": [{"output": "x"}]}, headers=OURS),
        page(7, "h"),
        page(2, "c", status="COMPLETED"),
        page(3, status="COMPLETED"),
    )
    assert list(endpoint.job("j").stream(timeout=60)) == ["a", "b", "c"]


@pytest.mark.parametrize("status", ["PENDING", "IN_PROGRESS", "COMPLETED"])
def test_a_stream_that_began_anew_says_so(scripted: ScriptedGateway, endpoint: Endpoint, status: str) -> None:
    scripted.script("stream", page(0, "a", "b"), page(0, status=status, take=2))
    chunks = endpoint.job("j").stream(timeout=60)
    assert [next(chunks), next(chunks)] == ["a", "b"]
    with pytest.raises(errors.StreamRestartedError, match=r"job j of endpoint x began anew after 2 chunks") as raised:
        next(chunks)
    assert (raised.value.job_id, raised.value.retryable) == ("j", True)


def test_one_that_began_anew_before_the_first_chunk_is_read_on(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    end = page(1, status="COMPLETED", take=2)
    scripted.script("stream", page(0), page(0, "b", status="COMPLETED", take=2), end)
    assert list(endpoint.job("j").stream(timeout=60)) == ["b"]


def test_a_gateway_that_knows_of_no_cursors_is_asked_without(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    answers = [{"status": "IN_PROGRESS", "stream": [{"output": 1}]}, {"status": "COMPLETED", "stream": []}]
    scripted.script("stream", *(Answer(body=body) for body in answers))
    assert list(endpoint.run({}).stream(timeout=60)) == [1]
    assert cursors(scripted) == [None, None]


def test_one_that_was_not_heard_of_yet_is_asked_with_a_cursor_once(
    scripted: ScriptedGateway, endpoint: Endpoint
) -> None:
    answers = [{"status": "IN_PROGRESS", "stream": [{"output": 1}]}, {"status": "COMPLETED", "stream": []}]
    scripted.script("stream", *(Answer(body=body) for body in answers))
    assert list(endpoint.job("j").stream(timeout=60)) == [1]
    assert cursors(scripted) == ["0", None]


def test_a_job_that_is_forgotten_in_the_middle_is_no_gateway_without_streams(
    scripted: ScriptedGateway, endpoint: Endpoint
) -> None:
    scripted.script("stream", page(0, 1), Answer(status=404, headers=OURS))
    scripted.script("status", Answer(body={"id": "j", "status": "COMPLETED", "output": [1, 2]}, headers=OURS))
    chunks = endpoint.job("j").stream(timeout=60)
    assert next(chunks) == 1
    with pytest.raises(errors.NotFoundError):
        next(chunks)


def unreadable_page(first: int, *chunks: bytes, cursor: bool = True, status: str = "COMPLETED") -> Answer:
    stream = b",".join(b'{"output":%b}' % chunk for chunk in chunks)
    place = b',"first":%d,"nextCursor":"1-%d"' % (first, first + len(chunks)) if cursor else b""
    return Answer(body=b'{"status":"%b","stream":[%b]%b}' % (status.encode(), stream, place), headers=OURS)


BIG = b'{"seed":%b}' % (b"7" * 5000)


def test_the_chunks_behind_one_that_can_not_be_read_are_read_from_their_number_on(
    scripted: ScriptedGateway, endpoint: Endpoint
) -> None:
    pages = [unreadable_page(0, b'"a"', BIG), unreadable_page(2, b'"c"', BIG, b'"e"'), unreadable_page(5)]
    scripted.script("stream", pages[0], pages[0], pages[1], *pages)
    job, start = endpoint.job("j"), 0
    chunks: list[object] = []
    bad: list[int] = []
    while True:
        try:
            chunks.extend(job.stream(timeout=60, start=start))
            break
        except errors.UnreadableOutputError as error:
            assert error.chunk is not None
            assert f"chunk {error.chunk}.seed" in str(error) or f"chunk {error.chunk}" in str(error)
            assert f"stream(start={error.chunk + 1}) goes on behind it" in str(error)
            assert error.data == BIG
            bad.append(error.chunk)
            start = error.chunk + 1
    assert (chunks, bad) == (["a", "c", "e"], [1, 3])


@pytest.mark.parametrize(("start", "rest"), [(0, ["a", "b", "c"]), (2, ["c"]), (3, []), (9, [])])
def test_a_stream_begins_where_it_is_told_to(
    scripted: ScriptedGateway, endpoint: Endpoint, start: int, rest: list[str]
) -> None:
    scripted.script("stream", page(0, "a", "b"), page(2, "c", status="COMPLETED"), page(3, status="COMPLETED"))
    assert list(endpoint.job("j").stream(timeout=60, start=start)) == rest


def test_a_stream_that_begins_anew_behind_its_start_says_so(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script("stream", page(0, "a", "b"), page(0, "other", take=2))
    with pytest.raises(errors.StreamRestartedError):
        list(endpoint.job("j").stream(timeout=60, start=5))


def test_the_start_counts_the_items_of_a_gateway_without_streams(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script("stream", Answer(status=404))
    scripted.script("status", Answer(body={"id": "j", "status": "COMPLETED", "output": [1, 2, 3]}))
    assert list(endpoint.job("j").stream(timeout=60, start=1)) == [2, 3]


def test_where_a_chunk_is_handed_out_once_the_start_passes_nothing_over(
    scripted: ScriptedGateway, endpoint: Endpoint
) -> None:
    answers = [unreadable_page(0, b"1", BIG, b"3", cursor=False), unreadable_page(0, b"4", cursor=False)]
    scripted.script("stream", *answers, unreadable_page(0, cursor=False))
    chunks = endpoint.job("j").stream(timeout=60)
    assert next(chunks) == 1
    with pytest.raises(errors.UnreadableOutputError, match="hands each chunk out once") as raised:
        next(chunks)
    assert raised.value.chunk == 1
    assert list(endpoint.job("j").stream(timeout=60, start=2)) == [4]


def test_no_stream_begins_before_its_first_chunk(endpoint: Endpoint) -> None:
    with pytest.raises(ValueError, match="from 0 on, not -1"):
        list(endpoint.job("j").stream(start=-1))
