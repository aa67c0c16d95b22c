"""The events of the revocation feed (``docs/FEED.md``), as server-sent events and in pages."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Union

#: How long ``also`` of an entry is good for, milliseconds.
ALSO_MS = 60_000

_KIND = re.compile(r"^event: (.*)$", re.MULTILINE)
_DATA = re.compile(r"^data: (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """Something was stopped, held or released. Times in milliseconds since the Unix epoch, by the server's clock."""

    #: Index in the ledger, rising.
    position: int
    #: ``stop``, ``hold`` or ``release``.
    effect: str
    at: int
    expires_at: int
    subjects: tuple[str, ...]
    #: Falls with it for the moment.
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedState:
    """What ``hello`` and ``heartbeat`` say."""

    log: int
    position: int
    epoch: int
    #: Everything committed until then stands before this in the stream.
    as_of: int
    time: int


@dataclass(frozen=True, slots=True)
class Hello:
    state: FeedState


@dataclass(frozen=True, slots=True)
class Heartbeat:
    state: FeedState


@dataclass(frozen=True, slots=True)
class Behind:
    """What follows is in the pages alone."""


FeedEvent = Union[Hello, Heartbeat, Behind, FeedEntry]


def parse_event(block: str) -> FeedEvent | None:
    """Reads one event, without the empty line behind it; ``None`` for what is none of ours. Raises ``ValueError``."""
    found = _KIND.search(block)
    if found is None:
        return None
    kind = found[1]
    if kind == "behind":
        return Behind()
    if kind not in ("hello", "heartbeat", "entry"):
        return None
    data = _DATA.search(block)
    said = json.loads("{}" if data is None else data[1])
    if kind == "entry":
        return parse_entry(said)
    try:
        state = FeedState(*(int(said[name]) for name in ("log", "position", "epoch", "as_of", "time")))
    except (KeyError, TypeError) as cause:
        raise ValueError("a state of the feed of another shape") from cause
    return Hello(state) if kind == "hello" else Heartbeat(state)


def parse_entry(said: Mapping[str, Any]) -> FeedEntry:
    """An entry from its JSON. Raises ``ValueError`` for another shape: what is not understood must not pass for harmless."""
    try:
        effect = said["effect"]
        if effect not in ("stop", "hold", "release"):
            raise ValueError("an entry of the feed with another effect")
        return FeedEntry(
            position=int(said["position"]),
            effect=effect,
            at=int(said["at"]),
            expires_at=int(said["expires_at"]),
            subjects=tuple(said["subjects"]),
            also=tuple(said.get("also", ())),
        )
    except (KeyError, TypeError) as cause:
        raise ValueError("an entry of the feed of another shape") from cause
