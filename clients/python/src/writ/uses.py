"""The latest uses that were accepted."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

_REMEMBERED = 4096


class Uses:
    """Of whom, and when; older ones are forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uses: deque[tuple[tuple[str, ...], float]] = deque(maxlen=_REMEMBERED)

    def add(self, subjects: tuple[str, ...], time: float) -> None:
        """``time`` in milliseconds of whichever clock ``since`` is asked by."""
        with self._lock:
            self._uses.append((subjects, time))

    def since(self, subjects: Iterable[str], time: float) -> int:
        """Uses of any of the subjects at or after a time."""
        wanted = frozenset(subjects)
        if not wanted:
            return 0
        with self._lock:
            return sum(1 for used, at in self._uses if at >= time and not wanted.isdisjoint(used))
