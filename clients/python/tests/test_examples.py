"""The examples, as programs of their own, without any model."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

from authority import token

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
#: Where the framework is there, the example runs on it.
FRAMEWORKS = {"langgraph_agent.py": "langgraph", "openai_agents_agent.py": "agents", "mcp_agent.py": "mcp"}


class Examples(unittest.TestCase):
    def start(self, program: str) -> str:
        """Starts one of the services; gives its address."""
        environment = {**os.environ, "WRIT_TOKEN": token("bookings", "service")}
        child = subprocess.Popen([sys.executable, EXAMPLES / program], env=environment, stdout=subprocess.PIPE, text=True)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        assert child.stdout is not None
        self.addCleanup(child.stdout.close)
        return child.stdout.readline().strip()

    def run_agent(self, program: str, address: str, agent: str = "planner") -> dict[str, Any]:
        environment = {**os.environ, "WRIT_TOKEN": token(agent)}
        ended = subprocess.run(
            [sys.executable, EXAMPLES / program, address, "Book a table in Lisbon."],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        said: dict[str, Any] = json.loads(ended.stdout)
        return said

    def check(self, service: str, agent: str) -> None:
        address = self.start(service)
        said = self.run_agent(agent, address)
        self.assertIn("Lisbon", said["answer"])
        self.assertIn("/agent/planner/", said["booked_for"])
        framework = FRAMEWORKS[agent]
        self.assertEqual(said["framework"], framework if importlib.util.find_spec(framework) else "none")
        # Another agent is not let in, whatever it says.
        refused = self.run_agent(agent, address, "reader")
        self.assertIsNone(refused["booked_for"])
        self.assertIn("refused", refused["answer"])

    def test_langgraph(self) -> None:
        self.check("booking_service.py", "langgraph_agent.py")

    def test_openai_agents(self) -> None:
        self.check("booking_service.py", "openai_agents_agent.py")

    def test_mcp(self) -> None:
        self.check("mcp_server.py", "mcp_agent.py")


if __name__ == "__main__":
    unittest.main()
