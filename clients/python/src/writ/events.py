"""Callbacks by name."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

_log = logging.getLogger("writ")


class Events:
    """Who wants to be told of what. What a callback raises is logged and is no failure of whoever tells it."""

    def __init__(self, *names: str) -> None:
        self._callbacks: dict[str, list[Callable[..., object]]] = {name: [] for name in names}
        self._lock = threading.Lock()

    def on(self, name: str, callback: Callable[..., object]) -> None:
        """Raises ``ValueError`` for a name that is never told."""
        if name not in self._callbacks:
            raise ValueError(f"There is no event {name!r}; there are {', '.join(self._callbacks)}.")
        with self._lock:
            self._callbacks[name].append(callback)

    def tell(self, name: str, *told: Any) -> None:
        with self._lock:
            callbacks = list(self._callbacks[name])
        for callback in callbacks:
            try:
                callback(*told)
            except Exception:
                _log.exception("A callback for %r failed.", name)
