"""Links lead to where the gateway is reached: by the operator's word, by a trusted proxy's, else by the request's."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from novita_gateway import Gateway
from tests.support.gateway_api import Api, Connect

from .test_files import ANNOUNCEMENT, CONTENT, path_of

PROXIED = {"Host": "gw.example.com", "X_Forwarded_Proto": "https"}


async def links(api: Api, **headers: str) -> set[str]:
    """Where the two links of an announcement lead, without their paths."""
    reply = await api.client("POST", "/v1/ep/files", ANNOUNCEMENT, **headers)
    assert reply.status == 200, reply.body
    return {url.partition("/v1/blobs/")[0] for url in (reply.json["upload"], reply.json["file"]["url"])}


@pytest.mark.parametrize(
    ("settings", "headers", "expected"),
    [
        ({}, {"Host": "gw.example.com:8000"}, "http://gw.example.com:8000"),
        ({}, {"Host": "[::1]:8000"}, "http://[::1]:8000"),
        ({}, PROXIED, "https://gw.example.com"),
        ({}, {**PROXIED, "X_Forwarded_Host": "forged.example, real.example"}, "https://real.example"),
        ({}, {**PROXIED, "X_Forwarded_Proto": "forged, http"}, "http://gw.example.com"),
        ({"trusted_proxies": ["127.0.0.1"]}, PROXIED, "https://gw.example.com"),
        ({"trusted_proxies": []}, PROXIED, "http://gw.example.com"),
        ({"trusted_proxies": ["10.0.0.0/8"]}, {**PROXIED, "X_Forwarded_Host": "a b"}, "http://gw.example.com"),
        ({"public_url": "https://x.example/gpu/v1/"}, PROXIED, "https://x.example/gpu"),
        ({"public_url": "https://x.example", "trusted_proxies": []}, {"Host": "a/b"}, "https://x.example"),
    ],
)
async def test_links_have_the_address_that_counts(
    connect: Connect, settings: dict[str, Any], headers: dict[str, str], expected: str
) -> None:
    assert await links(await connect(Gateway(**settings)), **headers) == {expected}


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({"Host": "evil.com/x?y="}, "evil.com/x?y="),
        ({"Host": "user@evil.com"}, "user@evil.com"),
        ({"Host": "a b"}, "a b"),
        ({"X_Forwarded_Host": 'a"><script>'}, "script"),
        ({"X_Forwarded_Proto": "javascript"}, "X-Forwarded-Proto"),
    ],
)
async def test_what_can_be_no_address_makes_no_link(api: Api, headers: dict[str, str], word: str) -> None:
    reply = await api.client("POST", "/v1/ep/files", ANNOUNCEMENT, **headers)
    assert (reply.status, reply.json["code"]) == (400, "BAD_REQUEST")
    assert word in reply.json["message"]


async def test_without_a_host_the_link_has_the_gateways_own(api: Api) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.gateway.port)
    length = f"Content-Length: {len(ANNOUNCEMENT)}\r\n\r\n".encode()
    key = f"Authorization: {api.gateway.api_key}\r\n".encode()
    writer.write(b"POST /v1/ep/files HTTP/1.0\r\n" + key + length + ANNOUNCEMENT)
    body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")[2]
    writer.close()
    await writer.wait_closed()
    assert json.loads(body)["upload"].startswith(f"{api.gateway.url}/blobs/")


@pytest.mark.parametrize(
    "settings",
    [
        {"public_url": "gateway.example.com"},
        {"public_url": "ftp://x"},
        {"public_url": "https://"},
        {"public_url": "https://u:p@x"},
        {"public_url": "https://x?y"},
        {"public_url": "https://[x"},
        {"trusted_proxies": ["proxy.local"]},
        {"trusted_proxies": ["10.0.0.0/33"]},
    ],
)
def test_settings_that_can_be_no_address_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"public_url|trusted proxy|IPv6|invalid"):
        Gateway(**settings)


async def test_a_file_travels_through_a_proxy_that_takes_a_prefix_away(connect: Connect) -> None:
    target = ""

    async def forward(request: web.BaseRequest) -> web.StreamResponse:
        assert request.raw_path.startswith("/gpu/")
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                target + request.raw_path.removeprefix("/gpu"),
                data=await request.read(),
                headers={"Authorization": request.headers.get("Authorization", "")},
            ) as reply,
        ):
            return web.Response(status=reply.status, body=await reply.read())

    runner = web.ServerRunner(web.Server(forward))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    public = f"http://127.0.0.1:{runner.addresses[0][1]}/gpu"
    api = await connect(Gateway(public_url=public))
    target = api.gateway.url.removesuffix("/v1")
    reply = (await api.client("POST", "/v1/ep/files", ANNOUNCEMENT)).json
    assert reply["upload"].startswith(f"{public}/v1/blobs/")
    async with api.session.put(reply["upload"], data=CONTENT) as response:
        assert response.status == 200
    async with api.session.get(reply["file"]["url"]) as response:
        assert await response.read() == CONTENT
    forged = path_of(reply["file"]["url"]).replace(urlsplit(reply["file"]["url"]).path[-64:], "0" * 64)
    async with api.session.get(public.removesuffix("/gpu") + forged) as response:
        assert response.status == 403
    await runner.cleanup()
