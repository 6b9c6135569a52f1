"""`novita-gpus run`: submits a job and waits for its output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from novita_cli._failures import Interrupted
from novita_cli._follow import follow, hand_over, print_chunks, print_whole, reattachable
from novita_cli._input import input_options, read_input
from novita_cli._options import endpoint_argument, file_option, submit_options, wait_options
from novita_cli._session import Session, session_options
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk import Client, Job, SubmitOptions

__all__ = ["command"]


@click.command("run")
@endpoint_argument
@input_options
@wait_options("Submit, print the job's id, and exit.")
@click.option(
    "--stream",
    is_flag=True,
    help="Print the chunks of the output as they come, a line of JSON each; without chunks the whole output.",
)
@file_option
@submit_options("A second run with the same key is the first one's job.")
@session_options
def command(
    session: Session,
    endpoint: str,
    text: str | None,
    fields: Sequence[str],
    wait: float | None,
    no_wait: bool,
    stream: bool,
    file: Path | None,
    options: SubmitOptions,
) -> None:
    """Run a job on ENDPOINT and print its output.

    ENDPOINT is <endpoint-id>, or <endpoint-id>-<app-name>. With --json the whole job is printed: id, status, output and
    times. If the wait runs out or is interrupted the job goes on; stderr has its id and how to come back to it.
    """
    if stream and (no_wait or file is not None):
        raise click.UsageError("--stream excludes --no-wait and -o")
    payload = read_input(text, fields)
    if payload is None:
        raise click.UsageError("there is no input: give --input JSON or -i KEY=VALUE; an empty one is --input '{}'")
    # Chunks and a spinner would share the terminal.
    with session.client() as client, session.display(plain=stream) as display:
        job = _submit(client, endpoint, payload, options)
        if no_wait:
            session.emit_word(job.job_id, {"id": job.job_id, "endpoint": job.endpoint_id}, file=file)
            return
        display.say(f"job {job.job_id} submitted to {job.endpoint_id}")
        with reattachable(job):
            if stream:
                if not print_chunks(job, wait):
                    print_whole(job, display)
                return
            info = follow(job, display, wait)
    hand_over(session, info, job, file)


def _submit(client: Client, endpoint: str, payload: JSONValue, options: SubmitOptions) -> Job:
    try:
        return client.endpoint(endpoint).run(payload, **options)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted while submitting; the job may or may not be queued. Where the gateway lists jobs, look with: "
            f"novita-gpus list {endpoint}"
        ) from None
