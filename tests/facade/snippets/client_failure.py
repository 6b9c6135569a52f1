import novita_gpus

novita_gpus.api_key = "your-api-key"
job = novita_gpus.Endpoint("name").run({"input": {"fail": True}})
try:
    job.output(timeout=300)
except Exception as error:
    print(type(error).__name__, error)
print(job.status())
