"""A service that books tables: any agent may ask, planners alone are served, and a booking is for the very instance that asked.

    WRIT_TOKEN=… python booking_service.py        # prints its address
"""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import writ

identity = writ.connect(token=os.environ["WRIT_TOKEN"])
verifier = writ.create_verifier(identity, mode="strict")


class Bookings(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        decision = verifier.authorize(self, allow="agent/planner/*")
        if decision.id is None:
            self.answer(503 if decision.reason == "stale" else 403, {"refused": decision.reason})
            return
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(200, {"table": f"for two in {asked['city']}", "booked_for": decision.id.uri})

    def answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


if __name__ == "__main__":
    verifier.ready(30)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bookings)
    verifier.protect(server, allow=lambda peer: peer.segments[0] == "agent")
    print(f"https://127.0.0.1:{server.server_port}/", flush=True)
    server.serve_forever()
