"""Following a job to its end, and how to come back to one that was left alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from novita_cli._failures import Interrupted

if TYPE_CHECKING:
    from novita_cli._display import Display
    from novita_sdk import Job, JobInfo

__all__ = ["follow", "reattachable"]


def follow(job: Job, display: Display, wait: float | None) -> JobInfo:
    """Shows a job's states and progress until it is final.

    Args:
        job: The job.
        display: Where; a quiet one costs fewer requests.
        wait: Seconds; None for without end.

    Returns:
        The completed job.

    Raises:
        JobError: It ended without an output.
        WaitTimeoutError: The wait ran out.
        NovitaError: See `docs/errors.md`.
    """
    if display.is_quiet:
        info = job.wait(wait)
    else:
        for info in job.updates(wait):
            display.show(info.status, info.progress)
    job.output()  # raises what a job without an output raises; it is final, so nothing is sent
    return info


@contextmanager
def reattachable(job: Job) -> Iterator[None]:
    """Says how to come back to the job where a wait for it runs out or is interrupted."""
    from novita_sdk.errors import WaitTimeoutError

    where = shlex.join([job.endpoint_id, job.job_id])
    advice = (
        f"job {job.job_id} of endpoint {job.endpoint_id} goes on\n"
        f"  wait for it again: novita-gpus output {where}\n"
        f"  cancel it:         novita-gpus cancel {where}"
    )
    try:
        yield
    except WaitTimeoutError:
        raise WaitTimeoutError(f"the wait ran out; {advice}", job_id=job.job_id) from None
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {advice}", job.job_id) from None
