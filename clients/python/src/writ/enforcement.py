"""Carries out what the feed says."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .acknowledger import Acknowledger
from .certificate import PeerFacts
from .feed_events import FeedEntry
from .feed_reader import FeedReader
from .live import LiveConnections
from .machine_clock import MachineClock
from .standing import Standing
from .stopped import Stopped
from .uses import Uses

#: How long after an entry uses are still looked for that should not have been.
_AFTER_MS = 1000


class Enforcement:
    """Closes what falls, and tells the server what was refused and what had been accepted."""

    def __init__(
        self, standing: Standing, reader: FeedReader, acknowledger: Acknowledger, clock: MachineClock
    ) -> None:
        self.live = LiveConnections()
        self._standing = standing
        self._reader = reader
        self._acknowledger = acknowledger
        self._clock = clock
        self._uses = Uses()
        #: Entries, when they were taken over by the server's clock, and when to look by the steady one.
        self._later: deque[tuple[tuple[FeedEntry, ...], float, float]] = deque()

    def used(self, facts: PeerFacts) -> None:
        """A use that was accepted."""
        self._uses.add(facts.subjects, self._reader.server_time())

    def apply(self, entries: Sequence[FeedEntry], anew: bool) -> None:
        """Takes entries over, ``anew`` in place of all that was known."""
        # In force only when it is whole: what is asked meanwhile is judged by what was known.
        stopped = Stopped() if anew else self._standing.stopped
        now = self._clock.wall()
        before: dict[int, int] = {}
        for entry in entries:
            fallen = stopped.apply(entry, now)
            if not anew:
                self.live.cut(fallen)
                before[entry.position] = self._uses.since(fallen, entry.at)
        if anew:
            self._standing.stopped = stopped
            self.live.cut([subject for subject in self.live.subjects() if stopped.of([subject], now) is not None])
        for position, count in before.items():
            if count > 0:
                self._acknowledger.add(position, before=count)
        if entries and before.get(entries[-1].position, 0) == 0:
            self._acknowledger.add(entries[-1].position)
        if not anew:
            self._later.append((tuple(entries), self._reader.server_time(), self._clock.steady() + _AFTER_MS))

    def look_after(self) -> None:
        """Looks once more, later, whether anything was accepted that should not have been, and says so where it was."""
        while self._later and self._later[0][2] <= self._clock.steady():
            entries, since, _ = self._later.popleft()
            for entry in entries:
                if entry.effect == "release" or self._standing.fall_of(entry.subjects) is None:
                    continue
                after = self._uses.since(entry.subjects, since)
                if after > 0:
                    self._acknowledger.add(entry.position, after=after)
