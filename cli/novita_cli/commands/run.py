"""`novita-gpus run`: submits a job and waits for its output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from novita_cli._failures import Interrupted
from novita_cli._follow import follow, hand_over, print_chunks, reattachable
from novita_cli._input import input_options, read_input
from novita_cli._options import endpoint_argument, file_option, wait_options
from novita_cli._session import Session, session_options
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk import Client, Job

__all__ = ["command"]


@click.command("run")
@endpoint_argument
@input_options
@wait_options("Submit, print the job's id, and exit.")
@click.option("--stream", is_flag=True, help="Print the chunks of the output as they come, one line of JSON each.")
@file_option
@click.option("--idempotency-key", metavar="KEY", help="A second run with the same key is the first one's job.")
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
    idempotency_key: str | None,
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
        job = _submit(client, endpoint, payload, idempotency_key)
        if no_wait:
            session.emit_word(job.job_id, {"id": job.job_id, "endpoint": job.endpoint_id}, file=file)
            return
        display.say(f"job {job.job_id} submitted to {job.endpoint_id}")
        with reattachable(job):
            if stream:
                print_chunks(job, wait)
                return
            info = follow(job, display, wait)
    hand_over(session, info, job, file)


def _submit(client: Client, endpoint: str, payload: JSONValue, key: str | None) -> Job:
    try:
        return client.endpoint(endpoint).run(payload, idempotency_key=key)
    except KeyboardInterrupt:
        raise Interrupted(
            "interrupted while submitting; the job may or may not be queued. Where the gateway lists jobs, look with: "
            f"novita-gpus list {endpoint}"
        ) from None
