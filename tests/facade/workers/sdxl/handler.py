import base64
import os

import pipelines as torch
import runpod
from pipelines import Base, Refiner
from runpod.serverless.utils import rp_cleanup, rp_upload
from runpod.serverless.utils.rp_validator import validate
from schemas import PICTURE


class Models:
    def __init__(self):
        self.base = Base()
        self.refiner = Refiner()


MODELS = Models()


def keep(images, job_id):
    os.makedirs(f"pictures/{job_id}", exist_ok=True)
    links = []
    for number, image in enumerate(images):
        path = os.path.join(f"pictures/{job_id}", f"{number}.png")
        image.save(path)
        if os.environ.get("BUCKET_ENDPOINT_URL", False):
            links.append(rp_upload.upload_image(job_id, path))
        else:
            with open(path, "rb") as file:
                links.append("data:image/png;base64," + base64.b64encode(file.read()).decode("utf-8"))
    rp_cleanup.clean([f"pictures/{job_id}"])
    return links


@torch.inference_mode()
def paint(job):
    checked = validate(job["input"], PICTURE)
    if "errors" in checked:
        return {"error": checked["errors"]}
    wish = checked["validated_input"]

    if wish["seed"] is None:
        wish["seed"] = int.from_bytes(os.urandom(2), "big")
    try:
        latent = MODELS.base(prompt=wish["prompt"], width=wish["width"], count=wish["num_images"])
        images = MODELS.refiner(latent, start=wish["image_url"], strength=wish["strength"])
    except RuntimeError as problem:
        return {"error": f"RuntimeError: {problem}", "refresh_worker": True}

    links = keep(images, job["id"])
    result = {"images": links, "image_url": links[0], "seed": wish["seed"]}
    if wish["image_url"]:
        result["refresh_worker"] = True
    return result


runpod.serverless.start({"handler": paint})
