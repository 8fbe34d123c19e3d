"""Drives a running kernos with FastMCP's client, whichever version is installed.

Usage: fastmcp_client.py URL KEY [ERA]. ERA is what FastMCP 4 calls a mode; version 3 knows one era only.
"""

import asyncio
import pathlib
import sys

import fastmcp
from fastmcp import Client
from fastmcp.client.transports import StreamableHttpTransport

PATIENCE = 10


def client(url, key, era):
    transport = StreamableHttpTransport(url, headers={"Authorization": f"Bearer {key}"})
    return Client(transport, mode=era) if era else Client(transport)


async def lists(agent):
    names = [tool.name for tool in await agent.list_tools()]
    assert names == ["shell_execute"], names


async def calls(agent):
    answer = await agent.call_tool("shell_execute", {"command": ["echo", "hello", "|", "cat"]})
    assert answer.structured_content["stdout"] == "hello\n", answer
    assert answer.structured_content["status"] == 0, answer


async def is_denied(agent):
    answer = await agent.call_tool("shell_execute", {"command": ["rm", "x"]}, raise_on_error=False)
    assert answer.is_error and "rm" in answer.content[0].text, answer


async def knows_no_such_tool(agent):
    try:
        answer = await agent.call_tool("no_such_tool", {}, raise_on_error=False)
    except Exception as error:  # which one it is differs between the versions
        assert "no_such_tool" in str(error) or "not found" in str(error).lower(), error
    else:
        assert answer.is_error, answer


async def hears(agent):
    heard = []

    async def hear(progress, total, message):
        heard.append((progress, total, message))

    line = ["echo", "going", "&&", "sleep", "1.3"]
    await agent.call_tool("shell_execute", {"command": line}, progress_handler=hear)
    assert [(total, message) for _, total, message in heard] == [(None, "going")], heard


async def cancels(agent):
    seconds = f"9{id(agent) % 10**8}"
    call = asyncio.ensure_future(agent.call_tool("shell_execute", {"command": ["sleep", seconds]}))
    await until(lambda: running(seconds), f"sleep {seconds} to start")
    if fastmcp.__version__.startswith("3."):
        # Version 3 gives up a call without telling the server: its caller has to.
        await agent.cancel(agent.session._request_id - 1)
    call.cancel()
    await until(lambda: not running(seconds), f"sleep {seconds} to end")


def running(argument):
    for line in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument.encode() in line.read_bytes().split(b"\0"):
                return True
        except OSError:
            pass
    return False


async def until(holds, what):
    for _ in range(PATIENCE * 50):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE} s for {what}")


async def main(url, key, era=None):
    for does in [lists, calls, is_denied, knows_no_such_tool, hears, cancels]:
        async with client(url, key, era) as agent:
            await does(agent)
            spoken = getattr(agent, "protocol_version", None) or agent.initialize_result.protocolVersion
    print(f"ok: FastMCP {fastmcp.__version__}, protocol {spoken}")


asyncio.run(main(*sys.argv[1:]))
