"""An MCP server (streamable HTTP, JSON answers) that needs no access tokens: who calls a tool, mutual TLS says.

    WRIT_TOKEN=… python mcp_server.py             # prints its address
"""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import writ

identity = writ.connect(token=os.environ["WRIT_TOKEN"])
verifier = writ.create_verifier(identity, mode="strict")

BOOK_TABLE = {
    "name": "book_table",
    "description": "Books a table for two in a city.",
    "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def call(method: str, parameters: dict[str, Any], caller: writ.SpiffeId, may_book: bool) -> dict[str, Any]:
    if method == "initialize":
        return {
            "protocolVersion": parameters["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "bookings", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": [BOOK_TABLE]}
    if method == "tools/call" and parameters["name"] == "book_table":
        said = (
            {"table": f"for two in {parameters['arguments']['city']}", "booked_for": caller.uri}
            if may_book
            else {"refused": "not_allowed"}
        )
        return {"content": [{"type": "text", "text": json.dumps(said)}], "isError": not may_book}
    raise LookupError(method)


class Mcp(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        decision = verifier.authorize(self)
        if decision.id is None:
            self.answer(503 if decision.reason == "stale" else 403, {"refused": decision.reason})
        elif "id" not in asked:
            self.answer(202, None)
        else:
            may_book = bool(verifier.authorize(self, allow="agent/planner/*"))
            said: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
            try:
                said["result"] = call(asked["method"], asked.get("params") or {}, decision.id, may_book)
            except (LookupError, TypeError):
                said["error"] = {"code": -32601, "message": "There is no such method or tool, or its parameters are others."}
            self.answer(200, said)

    def do_GET(self) -> None:
        """There are no messages but answers."""
        self.answer(405, None)

    do_DELETE = do_GET

    def answer(self, status: int, said: dict[str, Any] | None) -> None:
        body = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


if __name__ == "__main__":
    verifier.ready(30)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mcp)
    verifier.protect(server, allow=lambda peer: peer.segments[0] == "agent")
    print(f"https://127.0.0.1:{server.server_port}/mcp", flush=True)
    server.serve_forever()
