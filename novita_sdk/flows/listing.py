"""Listing the jobs of an endpoint, page by page, for as long as the pages bring something new."""

from __future__ import annotations

from typing import Final

from novita_sdk import errors, models
from novita_sdk.flows.call import Caller
from novita_sdk.flows.job_info import JobInfo
from novita_sdk.flows.steps import Emit, Feed
from novita_sdk.rpc import JobsServiceMethods

__all__ = ["list_jobs"]

_FRUITLESS: Final = 50
"""Pages in a row without a job that was not listed before. A gateway that looks for rare ones may send empty pages."""


def list_jobs(caller: Caller, endpoint: str, status: str | None) -> Feed[JobInfo]:
    """Emits each job once: while pages are read new jobs push older ones on to the next page.

    Raises:
        ProtocolError: The pages go in circles, or bring nothing new for long.
    """
    action = f"list the jobs of endpoint {endpoint}"
    request = models.ListJobsRequest(endpoint=endpoint, status=status)
    seen, cursors, fruitless = set[str](), set[str](), 0
    while True:
        page = yield from caller.call(JobsServiceMethods.LIST_JOBS, request, action=action, repeatable=True)
        known = len(seen)
        for job in page.jobs:
            if job.id not in seen:
                seen.add(job.id)
                yield Emit(JobInfo.from_message(job))
        if not page.HasField("next_cursor"):
            return
        fruitless = fruitless + 1 if len(seen) == known else 0
        if page.next_cursor in cursors:
            raise _endless(caller, action, f"the cursor {page.next_cursor[:80]!r} came before", len(seen))
        if fruitless == _FRUITLESS:
            raise _endless(caller, action, f"{fruitless} pages in a row brought no new job", len(seen))
        cursors.add(page.next_cursor)
        request.cursor = page.next_cursor


def _endless(caller: Caller, action: str, reason: str, count: int) -> errors.ProtocolError:
    return errors.ProtocolError(
        f"Could not {action} to the end: the pages of {caller.base_url} do not end, for {reason}. The {count} jobs "
        "before that were handed out. Tell whoever runs the gateway."
    )
