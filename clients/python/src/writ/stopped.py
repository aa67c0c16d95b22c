"""What of the feed is in force, by subject."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .feed_events import ALSO_MS, FeedEntry

#: Why nobody may act under a subject: for ever, or until it is released.
Fallen = Literal["stopped", "held"]


@dataclass(slots=True)
class _Mark:
    stopped: bool = False
    held: bool = False
    #: When it may be forgotten, milliseconds.
    until: float = 0.0


class Stopped:
    """Asked by all threads of a program, told by one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._marks: dict[str, _Mark] = {}
        #: What falls with something for the moment: until when, by subject and by what it falls with.
        self._also: dict[str, dict[str, float]] = {}

    def apply(self, entry: FeedEntry, now: float) -> tuple[str, ...]:
        """Takes an entry over; gives the subjects that fell by it. ``now`` in milliseconds."""
        with self._lock:
            for subject in entry.subjects:
                mark = self._marks.setdefault(subject, _Mark())
                if entry.effect == "stop":
                    mark.stopped = True
                else:
                    mark.held = entry.effect == "hold"
                mark.until = max(mark.until, entry.expires_at)
                if not mark.stopped and not mark.held:
                    del self._marks[subject]
            if entry.effect == "release":
                for causes in self._also.values():
                    for subject in entry.subjects:
                        causes.pop(subject, None)
                return ()
            for subject in entry.also:
                self._also.setdefault(subject, {}).update(dict.fromkeys(entry.subjects, now + ALSO_MS))
            return entry.subjects + entry.also

    def of(self, subjects: Iterable[str], now: float) -> Fallen | None:
        """Why one of the subjects may not act; ``None`` when all may. An end for ever counts more than a hold."""
        held = False
        with self._lock:
            for subject in subjects:
                mark = self._marks.get(subject)
                if mark is not None and mark.stopped:
                    return "stopped"
                held = held or mark is not None
                causes = self._also.get(subject)
                held = held or (causes is not None and any(until > now for until in causes.values()))
        return "held" if held else None

    def forget(self, now: float) -> None:
        """Forgets what nobody could use any more anyway. ``now`` in milliseconds."""
        with self._lock:
            self._marks = {subject: mark for subject, mark in self._marks.items() if mark.until > now}
            left = {
                subject: {cause: until for cause, until in causes.items() if until > now}
                for subject, causes in self._also.items()
            }
            self._also = {subject: causes for subject, causes in left.items() if causes}

    def __len__(self) -> int:
        return len(self._marks)
