"""Who may be answered now, by what the feed has said and how old that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from .certificate import PeerFacts
from .error import WritError
from .machine_clock import MachineClock
from .stopped import Fallen, Stopped

Mode = Literal["strict", "available"]

#: Why a peer is not answered.
Refusal = Literal["no_identity", "not_allowed", "expired", "stopped", "held", "stale"]


@dataclass(frozen=True, slots=True)
class Staleness:
    """How old the feed may be for whom, milliseconds."""

    #: Older than this it raises the alarm, and nobody is answered of whom nothing else tells.
    strict_ms: float
    #: Older than this nobody is.
    limit_ms: float


def staleness_of(mode: Mode, strict_ms: float, stale_ms: float) -> Staleness:
    """Raises ``bad_config`` for another mode."""
    if mode not in ("strict", "available"):
        raise WritError(
            "bad_config", "There is no such mode of a verifier.", field="mode", remedy="Say strict, or available."
        )
    return Staleness(strict_ms, strict_ms if mode == "strict" else stale_ms)


class Standing:
    def __init__(self, *, staleness: Staleness, age: Callable[[], float], clock: MachineClock) -> None:
        self._staleness = staleness
        self._age = age
        self._clock = clock
        #: What of the feed is in force.
        self.stopped = Stopped()

    def against(self, facts: PeerFacts) -> Refusal | None:
        """Why this peer may not be answered; ``None`` when it may."""
        if self._clock.wall() >= facts.not_after:
            return "expired"
        # What is known to have fallen is refused for that, however old the feed.
        return self.fall_of(facts.subjects) or ("stale" if self._is_stale(facts.ephemeral) else None)

    def fall_of(self, subjects: Iterable[str]) -> Fallen | None:
        """Why nobody may act under these, as far as is known, however old that is."""
        return self.stopped.of(subjects, self._clock.wall())

    def _is_stale(self, ephemeral: bool) -> bool:
        """A certificate that is ephemeral (RFC 9608) is on no list and known to no responder: that it was stopped, only the feed
        says, so it is judged strictly in either mode."""
        strict, limit = self._staleness.strict_ms, self._staleness.limit_ms
        return self._age() > (min(strict, limit) if ephemeral else limit)
