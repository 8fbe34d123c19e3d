"""Drives a running kernos with the official Python client.

Usage: mcp_client.py URL KEY ERA. ERA is what it calls a mode: legacy, auto, or a revision of the protocol.
"""

import asyncio
import contextlib
import importlib.metadata
import sys

import httpx2
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

import checks


class Agent:
    def __init__(self, client):
        self.client = client

    async def tools(self):
        return [tool.name for tool in (await self.client.list_tools()).tools]

    async def call(self, name, arguments, patience=None, hear=None):
        answer = await self.client.call_tool(
            name, arguments, read_timeout_seconds=patience, progress_callback=hear
        )
        return answer.is_error, answer.content[0].text, answer.structured_content


async def main(url, key, era):
    @contextlib.asynccontextmanager
    async def connect(key):
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=era) as client:
                yield Agent(client)

    await checks.refuses_a_wrong_key(connect, "Unauthorized: the key is not valid here")
    for does in checks.CHECKS:
        async with connect(key) as agent:
            await does(agent)
            spoken = agent.client.protocol_version
    print(f"ok: mcp {importlib.metadata.version('mcp')}, mode {era}, protocol {spoken}")


asyncio.run(main(*sys.argv[1:]))
