import predict
import runpod
from rp_schema import AUDIO_INPUT
from runpod.serverless.utils import download_files_from_urls, rp_cleanup, rp_debugger
from runpod.serverless.utils.rp_validator import validate

whisper = predict.Whisper()
whisper.load()


@rp_debugger.FunctionTimer
def transcribe(job):
    with rp_debugger.LineTimer("check"):
        checked = validate(job["input"], AUDIO_INPUT)
        if "errors" in checked:
            return {"error": checked["errors"]}
        wish = checked["validated_input"]

    with rp_debugger.LineTimer("download"):
        wish["audio"] = download_files_from_urls(job["id"], [wish["audio"]])[0]
        if wish["audio"] is None:
            return {"error": "the audio could not be downloaded"}

    with rp_debugger.LineTimer("model"):
        result = whisper.run(**wish)

    with rp_debugger.LineTimer("clean up"):
        rp_cleanup.clean(["input_objects"])
    return result


runpod.serverless.start({"handler": transcribe})
