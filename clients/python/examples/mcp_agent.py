"""An agent whose tools are an MCP server's, over mutual TLS in place of access tokens.

    WRIT_TOKEN=… python mcp_agent.py https://127.0.0.1:PORT/mcp "Book a table in Lisbon."

Speaks by the MCP SDK where that is installed, else by the few lines below. The model is a stand-in that needs no network: it calls
the first tool with the city of the request.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import writ
from writ.adapters.httpx import async_client

SERVER = "service/bookings/*"
#: Lists the tools, and calls one; gives its text.
Tools = tuple[list[str], Callable[[str, dict[str, Any]], Awaitable[str]]]


@asynccontextmanager
async def tools_by_sdk(identity: writ.Identity, url: str) -> AsyncIterator[Tools]:
    from httpx2 import AsyncClient
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        # Whatever takes an SSLContext takes an identity.
        AsyncClient(verify=identity.client_context(allow=SERVER), trust_env=False) as http,
        streamable_http_client(url, http_client=http) as (reads, writes, *_),
        ClientSession(reads, writes) as session,
    ):
        await session.initialize()

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return str((await session.call_tool(name, arguments)).content[0].text)

        yield [tool.name for tool in (await session.list_tools()).tools], call


@asynccontextmanager
async def tools_alone(identity: writ.Identity, url: str) -> AsyncIterator[Tools]:
    async with async_client(identity, allow=SERVER) as http:

        async def ask(method: str, parameters: dict[str, Any]) -> Any:
            asked = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
            headers = {"Accept": "application/json, text/event-stream"}
            answer = await http.post(url, json=asked, headers=headers)
            return answer.raise_for_status().json()["result"]

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return str((await ask("tools/call", {"name": name, "arguments": arguments}))["content"][0]["text"])

        client = {"name": "planner", "version": "1"}
        await ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        yield [tool["name"] for tool in (await ask("tools/list", {}))["tools"]], call


async def main(url: str, request: str) -> None:
    identity = await asyncio.to_thread(writ.connect, token=os.environ["WRIT_TOKEN"])
    try:
        # Version 2 of the SDK.
        import httpx2  # noqa: F401
        import mcp  # noqa: F401

        framework, opened = "mcp", tools_by_sdk
    except ImportError:
        framework, opened = "none", tools_alone
    with identity:
        async with opened(identity, url) as (names, call):
            said = json.loads(await call(names[0], {"city": request.rstrip(".").split()[-1]}))
    answer = f"A table {said['table']}." if "table" in said else f"It was refused: {said['refused']}."
    print(json.dumps({"framework": framework, "answer": answer, "booked_for": said.get("booked_for")}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
