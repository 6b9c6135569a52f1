"""A worker whose every call the test makes itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.support.waiting import DEADLINE, eventually


@dataclass
class HandWorker:
    """A worker whose every call the test makes itself, with the URLs that a real one gets."""

    environment: dict[str, str]
    session: requests.Session = field(default_factory=requests.Session)

    def take(self) -> dict[str, Any]:
        """The next job, as soon as there is one."""
        reply = eventually(self._ask, "no job came")
        assert reply is not None
        return dict(reply.json())

    def _ask(self) -> requests.Response | None:
        reply = self._call("GET", "NOVITA_WEBHOOK_GET_JOB", "hand-worker", "&job_in_progress=0")
        reply.raise_for_status()
        return reply if reply.status_code == 200 else None

    def finish(self, job_id: str, **result: Any) -> None:
        self._post("NOVITA_WEBHOOK_POST_OUTPUT", job_id, "false", result)

    def report(self, job_id: str, progress: object) -> None:
        self.finish(job_id, status="IN_PROGRESS", output=progress)

    def stream(self, job_id: str, *chunks: object) -> None:
        for chunk in chunks:
            self._post("NOVITA_WEBHOOK_POST_STREAM", job_id, "false", {"output": chunk})

    def _post(self, variable: str, job_id: str, is_stream: str, body: dict[str, Any]) -> None:
        self._call("POST", variable, job_id, f"&isStream={is_stream}", json.dumps(body)).raise_for_status()

    def _call(self, verb: str, variable: str, what: str, query: str, body: str | None = None) -> requests.Response:
        url = self.environment[variable].replace("$NOVITA_POD_ID", "hand-worker").replace("$ID", what) + query
        headers = {"Authorization": self.environment["NOVITA_AI_API_KEY"]}
        return self.session.request(verb, url, data=body, headers=headers, timeout=DEADLINE)
