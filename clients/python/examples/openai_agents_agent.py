"""An agent with a tool that a model calls. The tool carries the identity of this very run.

    WRIT_TOKEN=… python openai_agents_agent.py https://127.0.0.1:PORT/ "Book a table in Lisbon."

Runs on the OpenAI Agents SDK where that is installed, else on the few lines below that do the same turns. The model is a stand-in
that needs no network: it calls the tool with the city of the request, then says what the tool said.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import writ
from writ.adapters.httpx import async_client

Tool = Callable[..., Awaitable[str]]


class Conversation:
    """The stand-in for a model: one call of the tool, then the answer."""

    def __init__(self, request: str) -> None:
        self._city = request.rstrip(".").split()[-1]

    def next(self, tool_said: str | None) -> dict[str, Any]:
        if tool_said is None:
            return {"call": "book_table", "arguments": {"city": self._city}}
        said = json.loads(tool_said)
        return {"text": f"A table {said['table']}." if "table" in said else f"It was refused: {said['refused']}."}


async def run_alone(tool: Tool, conversation: Conversation) -> str:
    turn = conversation.next(None)
    while "text" not in turn:
        turn = conversation.next(await tool(**turn["arguments"]))
    return str(turn["text"])


async def run_on_framework(tool: Tool, conversation: Conversation, request: str) -> str:
    from agents import Agent, Model, ModelResponse, Runner, Usage, function_tool, set_tracing_disabled
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    class StandIn(Model):  # type: ignore[misc]
        async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> Any:
            items = input if isinstance(input, list) else []
            said = [item["output"] for item in items if item.get("type") == "function_call_output"]
            turn = conversation.next(said[-1] if said else None)
            if "text" in turn:
                text = ResponseOutputText(text=turn["text"], type="output_text", annotations=[])
                output: Any = ResponseOutputMessage(
                    id="message", content=[text], role="assistant", status="completed", type="message"
                )
            else:
                output = ResponseFunctionToolCall(
                    call_id="call", name=turn["call"], arguments=json.dumps(turn["arguments"]), type="function_call"
                )
            return ModelResponse(output=[output], usage=Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

    # Traces would go to a service elsewhere.
    set_tracing_disabled(True)
    agent = Agent(name="planner", instructions="Book tables.", model=StandIn(), tools=[function_tool(tool)])
    return str((await Runner.run(agent, request)).final_output)


async def main(url: str, request: str) -> None:
    identity = await asyncio.to_thread(writ.connect, token=os.environ["WRIT_TOKEN"])
    booked_for: list[str] = []
    with identity:
        async with async_client(identity, allow="service/bookings/*") as bookings:

            async def book_table(city: str) -> str:
                """Books a table for two in a city."""
                answer = await bookings.post(url, json={"city": city})
                booked_for.extend([answer.json()["booked_for"]] if answer.is_success else [])
                return answer.text

            conversation = Conversation(request)
            try:
                framework, answer = "agents", await run_on_framework(book_table, conversation, request)
            except ImportError:
                framework, answer = "none", await run_alone(book_table, conversation)
    print(json.dumps({"framework": framework, "answer": answer, "booked_for": booked_for[0] if booked_for else None}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
