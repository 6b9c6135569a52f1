import novita_gpus

novita_gpus.api_key = "your-api-key"
endpoint = novita_gpus.Endpoint("name")
job = endpoint.run({"prompt": "a red apple on a table"})
print(job.status())
print(job.output(timeout=300))
