import base64
import json
import os
import time
import urllib.request

import runpod
from runpod.serverless.utils import rp_upload

COMFY = os.environ.get("COMFY_HOST", "127.0.0.1:8188")
OUTPUTS = os.environ.get("COMFY_OUTPUT_PATH", "/comfyui/output")
REFRESH_WORKER = os.environ.get("REFRESH_WORKER", "false").lower() == "true"


def ask(path, data=None):
    request = urllib.request.Request(f"http://{COMFY}/{path}", data=data)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def check(wish):
    if wish is None:
        return None, "Please provide input"
    if isinstance(wish, str):
        try:
            wish = json.loads(wish)
        except json.JSONDecodeError:
            return None, "Invalid JSON format in input"
    if wish.get("workflow") is None:
        return None, "Missing 'workflow' parameter"
    return wish["workflow"], None


def collect(outputs, job_id):
    images = []
    for node in outputs.values():
        for image in node.get("images", []):
            path = os.path.join(OUTPUTS, image["subfolder"], image["filename"])
            if not os.path.exists(path):
                return {"status": "error", "message": f"the image does not exist: {path}"}
            if os.environ.get("BUCKET_ENDPOINT_URL", False):
                images.append(rp_upload.upload_image(job_id, path))
            else:
                with open(path, "rb") as file:
                    images.append(base64.b64encode(file.read()).decode("utf-8"))
    return {"status": "success", "message": images}


def handler(job):
    workflow, problem = check(job["input"])
    if problem:
        return {"error": problem}
    try:
        prompt = ask("prompt", json.dumps({"prompt": workflow}).encode("utf-8"))["prompt_id"]
    except Exception as problem:
        return {"error": f"Error queuing workflow: {problem}"}
    for _ in range(100):
        history = ask(f"history/{prompt}")
        if prompt in history and history[prompt].get("outputs"):
            break
        runpod.serverless.progress_update(job, f"waiting for {prompt}")
        time.sleep(0.05)
    else:
        return {"error": "Max retries reached while waiting for image generation"}
    return {**collect(history[prompt]["outputs"], job["id"]), "refresh_worker": REFRESH_WORKER}


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
