class JobInput:
    def __init__(self, job):
        self.prompt = job["prompt"]
        self.is_refused = job.get("max_tokens", 1) < 1
        self.together = job.get("together", 1)
