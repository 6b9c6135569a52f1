"""Draws posters: a worker whose inputs and outputs follow the contract in `proto/`."""

import random

import novita_gpus
from poster.v1.poster_pb2 import PALETTE_OCEAN, DrawPosterRequest, DrawPosterResponse
from poster.v1.poster_service_novita import PosterWorker, register_poster

SUNSET = ["#ffb347", "#ff7b54", "#d7385e", "#6a2c70"]
OCEAN = ["#caf0f8", "#48cae4", "#0077b6", "#03045e"]


class Painter(PosterWorker):
    """Gets only requests that the contract allows; what it returns is checked too."""

    def draw_poster(self, request: DrawPosterRequest, context: novita_gpus.JobContext) -> DrawPosterResponse:
        """Draws stripes in random order, and the title on them."""
        colors = list(OCEAN if request.palette == PALETTE_OCEAN else SUNSET)
        random.Random(request.seed).shuffle(colors)
        context.progress(message=f"drawing {request.title!r}")
        svg = draw(request.title, request.width, colors)
        return DrawPosterResponse(svg=svg, colors=colors, seed=request.seed)


def draw(title: str, width: int, colors: list[str]) -> str:
    """A square SVG of one stripe per colour."""
    stripe = width / len(colors)
    stripes = [
        f'<rect width="{width}" height="{stripe}" y="{index * stripe}" fill="{color}"/>'
        for index, color in enumerate(colors)
    ]
    safe = title.replace("&", "&amp;").replace("<", "&lt;")
    text = f'<text x="50%" y="50%" text-anchor="middle" fill="white">{safe}</text>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{width}">{"".join(stripes)}{text}</svg>'


if __name__ == "__main__":
    novita_gpus.start(register_poster(Painter()))
