"""The running authority that these tests are given, and its command line: test/interop/python-sdk.test.ts serves both."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import time
import unittest
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

import writ

#: `https://host:port` of the API.
API = os.environ.get("WRIT_TEST_API", "")
_CONTROL = os.environ.get("WRIT_TEST_CONTROL", "")

Found = TypeVar("Found")


def control(what: str, *words: str) -> Any:
    """Has the other side do something: `cli` with the words of a command, `token` with a name and a kind."""
    request = urllib.request.Request(f"{_CONTROL}/{what}", data=json.dumps(words).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def token(name: str, kind: str = "agent") -> str:
    """A join token for an agent or service, which is registered first where it does not exist."""
    text: str = control("token", name, kind)
    return text


def identity(case: unittest.TestCase, name: str, kind: str = "agent") -> writ.Identity:
    """A new instance, closed after the test."""
    made = writ.connect(token=token(name, kind))
    case.addCleanup(made.close)
    return made


def instance_of(made: writ.Identity) -> str:
    return made.spiffe_id.split("/")[-1]


def stop(made: writ.Identity) -> None:
    control("cli", "instance", "stop", instance_of(made), "--yes")


def until(what: Callable[[], Found], seconds: float = 15.0) -> Found:
    """Waits until something is true."""
    late = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > late:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(0.01)


class Wire:
    """A wire between a program and the authority that can be held: nothing is refused, nothing arrives."""

    def __init__(self, target: str = API) -> None:
        host, port = target.removeprefix("https://").rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._flows = threading.Event()
        self._flows.set()
        self._open = True
        self.address = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        self._flows.clear()

    def release(self) -> None:
        self._flows.set()

    def close(self) -> None:
        self._open = False
        self._flows.set()
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        try:
            while self._open:
                ready, _, _ = select.select([near, far], [], [], 0.2)
                self._flows.wait()
                for one in ready:
                    data = one.recv(65_536)
                    if not data:
                        return
                    (far if one is near else near).sendall(data)
        except OSError:
            pass
        finally:
            near.close()
            far.close()
