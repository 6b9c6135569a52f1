"""The environment without what a developer may have set: no test sees that, and no process of a test."""

from __future__ import annotations

import os

OWN_VARIABLES = ("NOVITA_", "RUNPOD_", "BUCKET_", "AWS_", "PYTHONUNBUFFERED")
"""What the names of the variables start with that change what the SDK does."""

WAYS = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
"""Variables of this machine's way to the network, in upper case, which the tests' own servers are not on."""


def plain_environment() -> dict[str, str]:
    """The environment for child processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN_VARIABLES)}
