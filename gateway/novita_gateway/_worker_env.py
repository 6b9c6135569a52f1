"""The environment that connects a worker, ours or a published one, to a gateway."""

from __future__ import annotations

import re
import secrets
from typing import Final, Literal

from google.protobuf.message import Message

from novita_sdk.rpc import Method, WorkerServiceMethods
from novita_sdk.wire.names import check_endpoint, check_worker_id

__all__ = ["Flavour", "worker_env"]

Flavour = Literal["novita", "runpod"]

_BASE_URL: Final = re.compile(r"https?://[^/\s?#@<>{}]+(/[^\s?#<>{}]+)*/v\d+", re.IGNORECASE)
_PREFIXES: Final = {"novita": "NOVITA", "runpod": "RUNPOD"}


def worker_env(
    endpoint: str,
    *,
    url: str,
    token: str,
    flavour: Flavour = "novita",
    worker_id: str | None = None,
    ping_interval: float = 10.0,
) -> dict[str, str]:
    """Makes the environment variables that a worker needs.

    The URL templates hold a query, because the published workers append their own parameters with `&` alone.

    Args:
        endpoint: Name of the endpoint that the worker serves.
        url: The gateway's base URL, for example `http://127.0.0.1:8000/v1`.
        token: The gateway's worker token.
        flavour: Which names the variables have: those of `novita-gpus` or those of `runpod`.
        worker_id: Must differ between workers; left out, one is made up.
        ping_interval: Seconds between two heartbeats, at least 1; a third of the gateway's lease or less.

    Raises:
        ValueError: The endpoint or worker id can't stand in a URL, nor the token in a header, or the URL, flavour or
            interval is not one.
    """
    url, token = url.strip().rstrip("/"), token.strip()
    if not _BASE_URL.fullmatch(url):
        raise ValueError(f"url must be a gateway's base URL with the API version, as http://host:8000/v1, not {url!r}")
    if not token.isprintable() or token[:1] in {'"', "'"}:
        raise ValueError("the token is in quotes, or holds a character that no header can")
    if flavour not in _PREFIXES:
        raise ValueError(f"flavour must be 'novita' or 'runpod', not {flavour!r}")
    if ping_interval < 1:
        # The published heartbeats round the interval down to seconds and die of a zero.
        raise ValueError(f"ping_interval must be at least 1 second, not {ping_interval}")
    check_endpoint(endpoint)
    worker = check_worker_id(f"worker-{secrets.token_hex(4)}" if worker_id is None else worker_id)
    prefix = _PREFIXES[flavour]
    pod = f"${prefix}_POD_ID"

    def template(method: Method[Message, Message], worker_token: str = pod) -> str:
        path = method.path.format(endpoint=endpoint, worker_id=worker_token, id="$ID")
        return f"{url}{path}?gpu=local"

    variables = {
        "WEBHOOK_GET_JOB": template(WorkerServiceMethods.TAKE_JOB, "$ID"),
        "WEBHOOK_POST_OUTPUT": template(WorkerServiceMethods.FINISH_JOB),
        "WEBHOOK_POST_STREAM": template(WorkerServiceMethods.STREAM_JOB),
        "WEBHOOK_PING": template(WorkerServiceMethods.PING),
        "PING_INTERVAL": str(int(ping_interval * 1000)),
        "AI_API_KEY": f"Bearer {token}" if flavour == "novita" else token,
        "POD_ID": worker,
        "ENDPOINT_ID": endpoint,
    }
    if flavour == "runpod":
        # Checks of the hosted machines' hardware, which end the worker on a laptop.
        variables |= {"SKIP_AUTO_SYSTEM_CHECKS": "true", "SKIP_GPU_CHECK": "true"}
    else:
        # Read by this project's worker alone: where files go that travel beside a result.
        variables |= {"FILES_URL": f"{url}/{endpoint}/files"}
    return {f"{prefix}_{name}": value for name, value in variables.items()}
