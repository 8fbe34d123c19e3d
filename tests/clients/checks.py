"""What every Python client must see of kernos, whichever library it is made of.

An agent has `tools()`, the names of the tools, and `call(name, arguments, patience, hear)`, whether it is an error, the
first text and the structured content. `patience` is after how many seconds the client itself gives up; None: never.
`hear(progress, total, message)` is called with what is told meanwhile.
"""

import asyncio
import itertools
import os
import pathlib

PATIENCE = 10
WRONG_KEY = "kernos_wrong"

_serial = itertools.count()


async def lists(agent):
    names = await agent.tools()
    assert names == ["shell_execute"], names


async def calls(agent):
    answer = await run(agent, ["echo", "hello", "|", "cat"])
    assert answer[2]["stdout"] == "hello\n" and answer[2]["status"] == 0, answer


async def is_denied(agent):
    is_error, text, _ = await run(agent, ["rm", "x"])
    assert is_error, text
    assert text.startswith("command[0]: `rm` is not a command of this key; allowed: cat, echo, "), text


async def is_ended_in_time(agent):
    is_error, _, structured = await run(agent, ["sleep", "60"], timeout=1)
    assert is_error, structured
    assert (structured["ended"], structured["status"]) == ("timed-out", 124), structured


async def knows_no_such_tool(agent):
    try:
        is_error, text, _ = await agent.call("no_such_tool", {})
    except Exception as error:  # which one it is differs between the libraries
        is_error, text = True, str(error)
    assert is_error and "Unknown tool: no_such_tool" in text, text


async def hears(agent):
    heard = []

    async def hear(_, total, message):
        heard.append((total, message))

    await agent.call("shell_execute", {"command": ["echo", "going", "&&", "sleep", "1.3"]}, hear=hear)
    assert heard == [(None, "going")], heard


async def cancels(agent):
    async def give_up(call):
        call.cancel()

    await leaves_nothing(agent, None, give_up)


async def loses_patience(agent):
    async def wait(call):
        await asyncio.wait([call])
        assert call.exception() is not None, call

    await leaves_nothing(agent, 1, wait)


async def leaves_nothing(agent, patience, give_up):
    """A call that its client gives up is ended by kernos."""
    seconds = f"9{os.getpid()}{next(_serial)}"
    call = asyncio.ensure_future(run(agent, ["sleep", seconds], patience))
    await until(lambda: running(seconds), f"sleep {seconds} to start")
    await give_up(call)
    await until(lambda: not running(seconds), f"sleep {seconds} to end")


CHECKS = [lists, calls, is_denied, is_ended_in_time, knows_no_such_tool, hears, cancels, loses_patience]


async def run(agent, command, patience=None, **more):
    return await agent.call("shell_execute", {"command": command, **more}, patience)


async def refuses_a_wrong_key(connect, expected):
    """Connecting raises what the client says of an answer 401, in whatever group of exceptions."""
    try:
        async with connect(WRONG_KEY) as agent:
            await agent.tools()
    except Exception as error:
        told = [repr(one) for one in causes(error)]
        assert any(expected in one for one in told), told
    else:
        raise AssertionError("a wrong key was let in")


def causes(error):
    yield error
    for one in getattr(error, "exceptions", []):
        yield from causes(one)


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
