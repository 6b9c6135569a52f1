"""Submits one job to a deployed sleep-worker and prints its output as JSON."""

import argparse
import json
import os
import sys

import novita_gpus


def main() -> None:
    """Reads the arguments, submits, waits, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default=os.environ.get("NOVITA_ENDPOINT_ID"), help="id of the endpoint")
    parser.add_argument("--app-name", default=os.environ.get("NOVITA_APP_NAME"), help="name of the app, if it has one")
    parser.add_argument("--api-key", default=os.environ.get("NOVITA_API_KEY"), help="default: NOVITA_API_KEY")
    parser.add_argument("--seconds", type=float, default=5, help="how long the job sleeps (default: 5)")
    arguments = parser.parse_args()
    if not arguments.endpoint:
        parser.error("name the endpoint: --endpoint ID, or set NOVITA_ENDPOINT_ID")

    name = f"{arguments.endpoint}-{arguments.app_name}" if arguments.app_name else arguments.endpoint
    endpoint = novita_gpus.Endpoint(name, api_key=arguments.api_key)
    job = endpoint.run({"seconds": arguments.seconds})
    print(f"job {job.job_id} submitted to {name}", file=sys.stderr)
    print(json.dumps(job.output(timeout=300 + int(arguments.seconds)), indent=2))


if __name__ == "__main__":
    main()
