"""Orders one poster from a deployed typed worker and writes it to a file."""

import argparse
import os
import sys
from pathlib import Path

from novita_sdk import Client
from poster.v1.poster_pb2 import DrawPosterRequest, Palette
from poster.v1.poster_service_novita import PosterClient


def main() -> None:
    """Reads the arguments, submits, waits, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("title", help="what stands on the poster, at most 60 characters")
    parser.add_argument("--endpoint", default=os.environ.get("NOVITA_ENDPOINT_ID"), help="id of the endpoint")
    parser.add_argument("--width", type=int, default=512, help="in pixels, from 64 to 2048 (default: 512)")
    parser.add_argument("--palette", choices=["sunset", "ocean"], default="sunset")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("poster.svg"))
    arguments = parser.parse_args()
    if not arguments.endpoint:
        parser.error("name the endpoint: --endpoint ID, or set NOVITA_ENDPOINT_ID")

    request = DrawPosterRequest(
        title=arguments.title,
        width=arguments.width,
        palette=Palette.Value(f"PALETTE_{arguments.palette.upper()}"),
        seed=arguments.seed,
    )
    with Client() as client:
        job = PosterClient(client.endpoint(arguments.endpoint)).draw_poster(request)
        print(f"job {job.job_id} submitted to {arguments.endpoint}", file=sys.stderr)
        poster = job.output(timeout=300)
    arguments.out.write_text(poster.svg, encoding="utf-8")
    print(f"{arguments.out}: {', '.join(poster.colors)}")


if __name__ == "__main__":
    main()
