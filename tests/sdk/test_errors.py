"""The error tree: its table, its published bases, its survival of pickling."""

from __future__ import annotations

import inspect
import pickle

import pytest
import requests

from novita_sdk import errors
from novita_sdk.errors import ERROR_TABLE, NovitaError, row_of_status

pytestmark = pytest.mark.core

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, NovitaError) and value is not NovitaError
]


@pytest.mark.parametrize("error", CLASSES)
def test_every_class_has_a_row_under_its_default_code(error: type[NovitaError]) -> None:
    assert [row.error for row in ERROR_TABLE if row.code == error.default_code] == [error]


def test_codes_and_statuses_are_unique() -> None:
    codes = [row.code for row in ERROR_TABLE]
    statuses = [row.status for row in ERROR_TABLE if row.status is not None]
    assert len(set(codes)) == len(codes)
    assert len(set(statuses)) == len(statuses)


def test_every_status_that_is_no_success_has_a_row() -> None:
    for status in range(300, 600):
        row = row_of_status(status)
        assert issubclass(row.error, errors.APIError)
        assert issubclass(row.error, errors.ServerError) == (status >= 500)


@pytest.mark.parametrize(
    ("error", "published"),
    [
        (errors.AuthenticationError, RuntimeError),
        (errors.AuthenticationError, requests.HTTPError),
        (errors.APIError, requests.HTTPError),
        (errors.NotFoundError, requests.HTTPError),
        (errors.ConflictError, requests.HTTPError),
        (errors.ServerError, requests.HTTPError),
        (errors.RateLimitError, requests.HTTPError),
        (errors.RateLimitError, requests.exceptions.RetryError),
        (errors.PayloadTooLargeError, requests.HTTPError),
        (errors.InvalidInputError, ValueError),
        (errors.InvalidInputError, TypeError),
        (errors.TransportError, requests.ConnectionError),
        (errors.RequestTimeoutError, requests.Timeout),
        (errors.RequestTimeoutError, requests.ConnectTimeout),
        (errors.RequestTimeoutError, requests.ReadTimeout),
        (errors.ProtocolError, requests.JSONDecodeError),
        (errors.ProtocolError, ValueError),
        (errors.WaitTimeoutError, TimeoutError),
    ],
)
def test_an_except_clause_written_for_the_published_package_still_catches(
    error: type[NovitaError], published: type[Exception]
) -> None:
    with pytest.raises(published, match="what happened"):
        raise error("what happened")


@pytest.mark.parametrize("error", CLASSES)
def test_errors_cross_process_borders_whole(error: type[NovitaError]) -> None:
    original = error("what happened", code="SPECIAL", retryable=True, job_id="j1", request_id="r1")
    original.add_note("and where")
    copy = pickle.loads(pickle.dumps(original))
    assert type(copy) is error
    assert str(copy) == "what happened"
    assert vars(copy) == vars(original)
    assert (copy.code, copy.retryable, copy.job_id, copy.request_id) == ("SPECIAL", True, "j1", "r1")


def test_job_failed_error_keeps_the_workers_words() -> None:
    error = errors.JobFailedError(
        "job j1 failed",
        job_id="j1",
        error="raw",
        remote_type="ValueError",
        remote_message="boom",
        remote_traceback="Traceback …",
    )
    copy = pickle.loads(pickle.dumps(error))
    assert (copy.error, copy.remote_type, copy.remote_message, copy.remote_traceback, copy.status) == (
        "raw",
        "ValueError",
        "boom",
        "Traceback …",
        "FAILED",
    )


@pytest.mark.parametrize("error", CLASSES)
def test_the_docstring_draws_every_class(error: type[NovitaError]) -> None:
    assert f"── {error.__name__}" in (errors.__doc__ or "")


@pytest.mark.parametrize("error", [error for error in CLASSES if issubclass(error, requests.RequestException)])
def test_errors_have_the_attributes_of_requests_errors(error: type[NovitaError]) -> None:
    instance = error("what happened")
    assert isinstance(instance, requests.RequestException)
    assert instance.response is None
    assert instance.request is None
