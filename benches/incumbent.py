"""The incumbent that kernos is measured against: a command server in Python.

FastMCP's HTTP transport over the executor of mcp-shell-server, each as released (incumbent-requirements.txt), with
the record that it writes by default. Stateless and with JSON answers, which is its fastest way.
Usage: incumbent.py PORT
"""

import sys

from fastmcp import FastMCP
from mcp_shell_server.shell_executor import ShellExecutor

server = FastMCP("incumbent")
executor = ShellExecutor()


@server.tool
async def shell_execute(
    command: list[str],
    directory: str = "/tmp",
    stdin: str | None = None,
    timeout: int = 30,
) -> dict:
    """Run an allowed command line."""
    return await executor.execute(command, directory=directory, stdin=stdin, timeout=timeout)


if __name__ == "__main__":
    server.run(
        transport="http",
        host="127.0.0.1",
        port=int(sys.argv[1]),
        show_banner=False,
        log_level="ERROR",
        stateless_http=True,
        json_response=True,
    )
