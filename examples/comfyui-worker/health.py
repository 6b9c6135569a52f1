"""For the image's HEALTHCHECK: fails unless ComfyUI answers and the thread that runs its workflows is there."""

import json
import os
import sys
import urllib.error
import urllib.request

URL = os.environ.get("COMFYUI_URL", "http://127.0.0.1:8188")


def main() -> None:
    """Ends with 0 or 1, as Docker wants it."""
    try:
        with urllib.request.urlopen(f"{URL}/worker/pulse", timeout=8) as answer:  # noqa: S310  the operator's URL
            alive = json.load(answer)["alive"]
    except urllib.error.HTTPError:
        alive = None  # without the extension, an answer is what can be known
    except OSError as error:
        sys.exit(f"ComfyUI does not answer at {URL}: {error}")
    if alive is False:
        sys.exit("ComfyUI runs no workflows any more: a node ended its thread")


if __name__ == "__main__":
    main()
