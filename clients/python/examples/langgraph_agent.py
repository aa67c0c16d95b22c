"""An agent as a graph: plan, book, report. Its tool calls carry the identity of this very run.

    WRIT_TOKEN=… python langgraph_agent.py https://127.0.0.1:PORT/ "Book a table in Lisbon."

Runs on LangGraph where that is installed, else on the few lines below that walk the same nodes. The model is a stand-in that
needs no network; put a real one in its place.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any, TypedDict

import httpx

import writ
from writ.adapters.httpx import client


class State(TypedDict, total=False):
    request: str
    city: str
    booking: dict[str, Any]
    answer: str


def model(request: str) -> str:
    """Names the city of a request."""
    return request.rstrip(".").split()[-1]


def nodes(bookings: httpx.Client, url: str) -> dict[str, Callable[[State], State]]:
    def plan(state: State) -> State:
        return {"city": model(state["request"])}

    def book(state: State) -> State:
        answer = bookings.post(url, json={"city": state["city"]})
        return {"booking": answer.json()}

    def report(state: State) -> State:
        booking = state["booking"]
        return {"answer": f"A table {booking['table']}." if "table" in booking else f"It was refused: {booking['refused']}."}

    return {"plan": plan, "book": book, "report": report}


def run(steps: dict[str, Callable[[State], State]], request: str) -> tuple[str, State]:
    """Gives the name of what it ran on, and the last state."""
    try:
        from langgraph.graph import END, START, StateGraph
    except ImportError:
        state: State = {"request": request}
        for step in steps.values():
            state.update(step(state))
        return "none", state
    graph: Any = StateGraph(State)
    before = START
    for name, step in steps.items():
        graph.add_node(f"do_{name}", step)
        graph.add_edge(before, f"do_{name}")
        before = f"do_{name}"
    graph.add_edge(before, END)
    return "langgraph", graph.compile().invoke({"request": request})


if __name__ == "__main__":
    url, request = sys.argv[1:]
    with writ.connect(token=os.environ["WRIT_TOKEN"]) as identity, client(identity, allow="service/bookings/*") as bookings:
        framework, state = run(nodes(bookings, url), request)
    booked_for = state["booking"].get("booked_for")
    print(json.dumps({"framework": framework, "answer": state["answer"], "booked_for": booked_for}))
