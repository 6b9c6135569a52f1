import os

import novita_gpus

endpoint_id = os.environ.get("NOVITA_ENDPOINT_ID", "endpoint-id")
app_name = os.environ.get("NOVITA_APP_NAME", "app")
key = os.environ["NOVITA_API_KEY"]

endpoint = novita_gpus.Endpoint(f"{endpoint_id}-{app_name}", api_key=key)
job = endpoint.run({"prompt": "a red apple on a table"})
print(job.output(timeout=300))
print(endpoint.health())
print(endpoint.purge_queue())
