import base64
import os

import predict
import runpod
from rp_schema import SPEECH
from runpod.serverless.utils import rp_cleanup, rp_download
from runpod.serverless.utils.rp_upload import upload_in_memory_object
from runpod.serverless.utils.rp_validator import validate

model_dir = os.getenv("WORKER_MODEL_DIR", "model")


@runpod.serverless.register_fitness_check
def model_is_there():
    if model_dir == "nowhere":
        raise RuntimeError("no model files")


def keep(sound, key):
    if os.environ.get("BUCKET_ENDPOINT_URL", False):
        return upload_in_memory_object(
            key,
            sound,
            bucket_creds={
                "endpointUrl": os.environ.get("BUCKET_ENDPOINT_URL", None),
                "accessId": os.environ.get("BUCKET_ACCESS_KEY_ID", None),
                "accessSecret": os.environ.get("BUCKET_SECRET_ACCESS_KEY", None),
            },
        )
    return base64.b64encode(sound).decode("UTF-8")


def run(job):
    checked = validate(job["input"], SPEECH)
    if "errors" in checked:
        return {"error": checked["errors"]}
    wish = checked["validated_input"]

    runpod.serverless.progress_update(job, {"stage": "voice"})
    voice = rp_download.file(wish["voice"])
    runpod.serverless.progress_update(job, {"stage": "speaking"})
    sound = MODEL.say(wish["text"], voice["file_path"], wish["speed"])
    result = {"audio": keep(sound, f"{job['id']}.wav"), "voice": voice["original_name"], "type": voice["type"]}

    rp_cleanup.clean(["input_objects"])
    return result


if __name__ == "__main__":
    MODEL = predict.Speaker(model_dir)
    runpod.serverless.start({"handler": run})
