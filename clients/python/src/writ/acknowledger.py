"""Tells the server what is refused here."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from .error import WritError
from .http_client import HttpsClient

#: Acknowledgements of one request.
_MOST = 256
_TIMEOUT = 3.0


class Acknowledger:
    """One request at a time, with all that has gathered; from a thread of its own.

    What cannot be sent is let go: the server says then that this point has not acknowledged, which is true; the next one says
    "up to here".
    """

    def __init__(self, server: str, context: ssl.SSLContext, *, point: str, log: Callable[[], int]) -> None:
        self._client = HttpsClient(server, context, timeout=_TIMEOUT, attempts=1, keeps_connection=True)
        self._point = point
        self._log = log
        self._waiting: deque[dict[str, Any]] = deque(maxlen=16 * _MOST)
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._run, name="writ-acknowledge", daemon=True).start()

    def add(self, position: int, *, before: int = 0, after: int = 0) -> None:
        """Everything up to ``position`` is refused here; so many uses of what stands at it were accepted between commit and now
        (``before``), or after (``after``)."""
        said: dict[str, Any] = {"position": position}
        if before:
            said["accepted_before"] = before
        if after:
            said["accepted_after"] = after
        with self._changed:
            self._waiting.append(said)
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    break
                acks = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
            body = {"point": self._point, "log": self._log(), "acks": acks}
            # A kept connection may have been closed meanwhile.
            if not self._sent(body):
                self._sent(body)
        self._client.close()

    def _sent(self, body: dict[str, Any]) -> bool:
        try:
            self._client.send("POST", "/v1/feed/acks", body)
        except (WritError, OSError):
            self._client.close()
            return False
        return True
