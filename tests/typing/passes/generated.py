"""Generated messages and clients."""

from __future__ import annotations

from typing import assert_type

from shop.v1.draw_service_novita import AsyncDrawClient, DrawClient
from shop.v1.shop_pb2 import Draw, Drawn, Layer, Token
from shop.v1.studio_service_novita import StudioClient
from shop.v1.talk_service_novita import AsyncTalkClient, TalkClient

from novita_sdk import AsyncClient, Client
from novita_sdk.typed import AsyncTypedJob, JobStream, TypedJob

request = Draw(prompt="x", width=64, layers=[Layer(weight=1.0)], named={"a": Layer()})
assert_type(request.prompt, str)
assert_type(request.seed, int)
assert_type(request.layers[0].weight, float)
assert_type(request.named["a"], Layer)


def sync(client: Client) -> None:
    endpoint = client.endpoint("e")
    job = DrawClient(endpoint).draw(request)
    assert_type(job, TypedJob[Drawn])
    assert_type(job.output(), Drawn)
    DrawClient(endpoint).draw(request, idempotency_key="k", webhook="https://h", timeout=3)
    assert_type(job.output(timeout=3).images[0].url, str)
    assert_type(TalkClient(endpoint).talk(request), JobStream[Token])
    for token in TalkClient(endpoint).talk(request):
        assert_type(token, Token)
    assert_type(StudioClient(endpoint).sketch(request).output(), Token)
    assert_type(StudioClient(endpoint).paint(request).output(), Drawn)


async def asynchronous(client: AsyncClient) -> None:
    endpoint = client.endpoint("e")
    job = await AsyncDrawClient(endpoint).draw(request)
    assert_type(job, AsyncTypedJob[Drawn])
    assert_type(await job.output(), Drawn)
    async for token in await AsyncTalkClient(endpoint).talk(request):
        assert_type(token, Token)
