"""Open connections by what would stop their peers."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable

from .certificate import PeerFacts
from .tls import Connection


class LiveConnections:
    """Remembers connections for as long as somebody else does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: weakref.WeakSet[Connection] = weakref.WeakSet()
        self._by_subject: dict[str, weakref.WeakSet[Connection]] = {}
        self._ephemeral: weakref.WeakSet[Connection] = weakref.WeakSet()

    def hold(self, connection: Connection, facts: PeerFacts) -> None:
        with self._lock:
            # Also one that nothing names: it goes when what is known is too old.
            self._held.add(connection)
            for subject in facts.subjects:
                self._by_subject.setdefault(subject, weakref.WeakSet()).add(connection)
            if facts.ephemeral:
                self._ephemeral.add(connection)

    def let_go(self, connection: Connection) -> None:
        with self._lock:
            for connections in self._by_subject.values():
                connections.discard(connection)
            self._held.discard(connection)
            self._ephemeral.discard(connection)

    def subjects(self) -> list[str]:
        """What somebody is connected under."""
        with self._lock:
            return [subject for subject, connections in self._by_subject.items() if len(connections) > 0]

    def cut(self, subjects: Iterable[str]) -> None:
        """Closes the connections of what has fallen."""
        with self._lock:
            fallen = [connection for subject in subjects for connection in self._by_subject.get(subject, ())]
        for connection in fallen:
            connection.cut()

    def cut_stale(self, *, everybody: bool) -> None:
        """Closes all, or only those of whose peers nothing but the feed tells."""
        with self._lock:
            stale = list(self._held if everybody else self._ephemeral)
        for connection in stale:
            connection.cut()

    def forget(self) -> None:
        """Forgets subjects that nobody is connected under."""
        with self._lock:
            self._by_subject = {
                subject: connections for subject, connections in self._by_subject.items() if len(connections) > 0
            }
