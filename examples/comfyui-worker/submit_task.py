"""Submits one workflow to a deployed comfyui-worker and prints its output as JSON."""

import argparse
import json
import os
import sys
from pathlib import Path

import novita_gpus
from novita_sdk.files import File


def main() -> None:
    """Reads the arguments, submits, waits, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", default=os.environ.get("NOVITA_ENDPOINT_ID"), help="id of the endpoint")
    parser.add_argument("--app-name", default=os.environ.get("NOVITA_APP_NAME"), help="name of the app, if it has one")
    parser.add_argument("--api-key", default=os.environ.get("NOVITA_API_KEY"), help="default: NOVITA_API_KEY")
    parser.add_argument("--workflow", type=Path, default=Path(__file__).with_name("workflow.json"), help="API format")
    parser.add_argument("--output-node-id", help="node whose files to return (default: all)")
    parser.add_argument("--prompt", help="text for the prompt node")
    parser.add_argument("--prompt-node-id", default="6", help="node whose text that is (default: 6)")
    parser.add_argument("--image", type=Path, action="append", default=[], help="input file, named as in the workflow")
    parser.add_argument("--timeout", type=int, default=900, help="seconds to wait for the output (default: 900)")
    arguments = parser.parse_args()
    if not arguments.endpoint:
        parser.error("name the endpoint: --endpoint ID, or set NOVITA_ENDPOINT_ID")

    workflow = json.loads(arguments.workflow.read_text())
    if arguments.prompt:
        if "text" not in workflow.get(arguments.prompt_node_id, {}).get("inputs", {}):
            texts = [node_id for node_id, node in workflow.items() if "text" in node.get("inputs", {})]
            parser.error(
                f"node {arguments.prompt_node_id} has no text; --prompt-node-id may be {', '.join(texts) or 'none'}"
            )
        workflow[arguments.prompt_node_id]["inputs"]["text"] = arguments.prompt
    # As files they go beside the job, at any size.
    images = [{"name": path.name, "image": File.from_path(path)} for path in arguments.image]

    name = f"{arguments.endpoint}-{arguments.app_name}" if arguments.app_name else arguments.endpoint
    endpoint = novita_gpus.Endpoint(name, api_key=arguments.api_key)
    job_input = {"workflow": workflow, "images": images}
    if arguments.output_node_id:
        job_input["output_node_id"] = arguments.output_node_id
    job = endpoint.run(job_input)
    print(f"job {job.job_id} submitted to {name}", file=sys.stderr)
    print(json.dumps(job.output(timeout=arguments.timeout), indent=2))


if __name__ == "__main__":
    main()
