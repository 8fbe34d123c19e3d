"""Drives a running kernos with FastMCP's client, whichever version is installed.

Usage: fastmcp_client.py URL KEY [ERA]. ERA is what FastMCP 4 calls a mode; version 3 knows one era only.
"""

import asyncio
import contextlib
import sys

import fastmcp
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

import checks

IS_OLD = fastmcp.__version__.startswith("3.")


class Agent:
    def __init__(self, client):
        self.client = client

    async def tools(self):
        return [tool.name for tool in await self.client.list_tools()]

    async def call(self, name, arguments, patience=None, hear=None):
        answer = await self.client.call_tool(
            name, arguments, timeout=patience, progress_handler=hear, raise_on_error=False
        )
        return answer.is_error, answer.content[0].text, answer.structured_content

    async def take_back(self):
        """Version 3 gives up a call without telling the server: its caller has to."""
        await self.client.cancel(self.client.session._request_id - 1)


async def cancels(agent):
    async def give_up(call):
        if IS_OLD:
            await agent.take_back()
        call.cancel()

    await checks.leaves_nothing(agent, None, give_up)


async def loses_patience(agent):
    async def wait(call):
        await asyncio.wait([call])
        assert call.exception() is not None, call
        if IS_OLD:
            await agent.take_back()

    await checks.leaves_nothing(agent, 1, wait)


OF_ITS_OWN = {checks.cancels: cancels, checks.loses_patience: loses_patience}


async def main(url, key, era=None):
    @contextlib.asynccontextmanager
    async def connect(key):
        transport = StreamableHttpTransport(url, headers={"Authorization": f"Bearer {key}"})
        async with Client(transport, mode=era) if era else Client(transport) as client:
            yield Agent(client)

    await checks.refuses_a_wrong_key(connect, "401" if IS_OLD else "Unauthorized")
    for does in checks.CHECKS:
        async with connect(key) as agent:
            await OF_ITS_OWN.get(does, does)(agent)
            client = agent.client
            spoken = getattr(client, "protocol_version", None) or client.initialize_result.protocolVersion
    print(f"ok: FastMCP {fastmcp.__version__}, protocol {spoken}")


asyncio.run(main(*sys.argv[1:]))
