"""Misuses of runpod's names that a checker refuses, line by line."""

from __future__ import annotations

import novita_gpus as runpod
from novita_gpus.serverless.utils import rp_debugger, rp_upload


@rp_debugger.FunctionTimer
def timed(number: int) -> str:
    return str(number)


runpod.serverless.start(timed)  # wrong: it takes a dictionary
timed("text")  # wrong: it takes a number
runpod.create_pod("name")  # wrong: it is not here
runpod.RunPodLogger().info("text", 5)  # wrong: a job's id is text
rp_upload.upload_image("j")  # wrong: the image is missing
runpod.serverless.register_fitness_check(timed)  # wrong: a check takes nothing
