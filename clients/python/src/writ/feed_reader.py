"""Follows the revocation feed of the authority."""

from __future__ import annotations

import http.client
import os
import random
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from .error import WritError
from .feed_events import Behind, FeedEntry, FeedState, Heartbeat, Hello, parse_entry, parse_event
from .http_client import HttpsClient, connection_error, parse_server
from .machine_clock import MachineClock

#: Without a sign of life for so long the connection is given up: heartbeats come each second.
_SILENCE_MS = 3000
_FIRST_PAUSE_MS = 50
_LONGEST_PAUSE_MS = 1000
#: The server's clock was set, when a heartbeat seems to come from so far ahead.
_AHEAD_MS = 1000
#: Octets of an event that does not end.
_LONGEST = 16 * 1024 * 1024


class FeedReader:
    """Pages through what is in force, then stays on the stream, and after every loss goes on where it was, without a gap.

    It never says that it is up to date before it knows everything that the server does. Calls back from a thread of its own:
    ``on_entries`` with entries in order and whether they are in place of everything that was known; ``on_fresh`` when all up to
    the server's own position is known; ``on_lost`` with what went wrong, before it is tried again.
    """

    def __init__(
        self,
        server: str,
        context: ssl.SSLContext,
        *,
        point: str,
        clock: MachineClock,
        on_entries: Callable[[Sequence[FeedEntry], bool], None],
        on_fresh: Callable[[], None],
        on_lost: Callable[[Exception], None],
    ) -> None:
        self._server = server
        self._context = context
        self._point = point
        self._clock = clock
        self._on_entries = on_entries
        self._on_fresh = on_fresh
        self._on_lost = on_lost
        self._process = os.getpid()
        self._closed = threading.Event()
        self._socket: socket.socket | None = None
        self._log = 0
        self._position = 0
        self._epoch = 0
        #: False while pages have to be read before the stream.
        self._joined = False
        self._failures = 0
        #: What adds to the steady clock makes the server's, never too little.
        self._ahead = 0.0
        #: When the latest heartbeat came, by both clocks, and how old it was at most.
        self._beat: tuple[float, float, float] | None = None

    def start(self) -> None:
        threading.Thread(target=self._run, name="writ-feed", daemon=True).start()

    @property
    def log(self) -> int:
        """Number of the log that positions belong to."""
        return self._log

    def age(self) -> float:
        """How old, at most, what is known may be: milliseconds, by no other clock than this machine's, since the server answered
        after it was asked. Infinite before everything was known once."""
        if self._beat is None or self._process != os.getpid():
            # In a forked process nobody reads it.
            return float("inf")
        steady, wall, age = self._beat
        return age + max(0.0, self._clock.steady() - steady, self._clock.wall() - wall)

    def server_time(self) -> float:
        """The server's time now, milliseconds; never earlier than it really is."""
        return self._clock.steady() + self._ahead

    def close(self) -> None:
        self._closed.set()
        held = self._socket
        if held is not None:
            _shut(held)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                if not self._joined:
                    self._read_pages()
                self._read_stream()
            except Exception as error:  # a thread that ended would leave everybody refused, or worse, accepted
                if self._closed.is_set():
                    return
                self._on_lost(error)
            wait = min(_LONGEST_PAUSE_MS, _FIRST_PAUSE_MS * 2 ** min(self._failures, 10))
            self._failures += 1
            self._closed.wait(wait * (0.5 + random.random()) / 1000)

    def _read_pages(self) -> None:
        """Brings what is known up to a position at which the stream can be joined."""
        page = self._page(self._position)
        anew = self._log != page["log"] or self._position == 0 or self._position < page["floor"]
        if anew and self._position > 0:
            page = self._page(0)
        entries = [parse_entry(one) for one in page["entries"]]
        while page["complete"] is not True:
            page = self._page(page["position"])
            entries += [parse_entry(one) for one in page["entries"]]
        if self._log != page["log"]:
            self._epoch = 0
        self._log = page["log"]
        self._position = page["position"]
        self._on_entries(entries, anew)
        self._joined = True

    def _page(self, after: int) -> Any:
        client = HttpsClient(self._server, self._context, timeout=10 * _SILENCE_MS / 1000, attempts=1)
        return client.json("GET", f"/v1/feed/entries?after={int(after)}")

    def _read_stream(self) -> None:
        """Gives back control when the server ended the stream, raises when it broke."""
        host, port = parse_server(self._server)
        connection = http.client.HTTPSConnection(host, port, timeout=_SILENCE_MS / 1000, context=self._context)
        try:
            connection.connect()
            self._socket = connection.sock
            if self._closed.is_set():
                return
            # The question is not sent before that: a connection that was long in coming would make all that follows seem old.
            asked = self._clock.steady()
            connection.request(
                "GET",
                f"/v1/feed?point={quote(self._point, safe='')}",
                headers={"Accept": "text/event-stream", "Last-Event-ID": f"{self._log}.{self._position}"},
            )
            with connection.getresponse() as response:
                if response.status != 200:
                    raise WritError(
                        "unavailable",
                        f"The server refused the feed with status {response.status}.",
                        remedy="Check that the identity of this program is good.",
                    )
                self._read_events(response, asked)
        except (OSError, http.client.HTTPException) as cause:
            raise connection_error(f"{host}:{port}", cause) from cause
        finally:
            self._socket = None
            connection.close()

    def _read_events(self, response: http.client.HTTPResponse, asked: float) -> None:
        rest = b""
        while not self._closed.is_set():
            chunk = response.read1(65_536)
            if not chunk:
                return
            *blocks, rest = (rest + chunk).split(b"\n\n")
            if len(rest) > _LONGEST:
                raise WritError("too_large", "An event of the feed does not end.")
            self._take([block.decode("utf-8") for block in blocks], asked)

    def _take(self, blocks: Sequence[str], asked: float) -> None:
        """Takes whole events. ``asked``: when the stream was asked for, before which nothing in it was said."""
        entries: list[FeedEntry] = []
        state: FeedState | None = None
        behind = False
        for block in blocks:
            match parse_event(block):
                case FeedEntry() as entry:
                    entries.append(entry)
                case Heartbeat(told):
                    state = told
                case Hello(told):
                    self._meet(told, asked)
                case Behind():
                    behind = True
        # A replica that is a moment behind another may repeat what is known.
        fresh = [entry for entry in entries if entry.position > self._position]
        if fresh:
            self._position = fresh[-1].position
            self._on_entries(fresh, False)
        if behind:
            self._joined = False
            raise WritError("unavailable", "What was missed is not on the stream any more; it is read from the pages.")
        if state is not None:
            self._judge(state)

    def _meet(self, state: FeedState, asked: float) -> None:
        if state.log != self._log:
            self._joined = False
            raise WritError("unavailable", "The server has begun a new log.")
        self._ahead = state.time - asked

    def _judge(self, state: FeedState) -> None:
        """A heartbeat counts when everything before it is known, and it is not from a replica that knows less than another."""
        if state.epoch < self._epoch or state.position > self._position:
            return
        self._epoch = state.epoch
        # As old as this clock says since the stream was asked for, and no younger than the sender says itself.
        age = max(self.server_time() - state.as_of, state.time - state.as_of)
        if age < -_AHEAD_MS:
            raise WritError("unavailable", "The clock of the server was set.")
        self._beat = (self._clock.steady(), self._clock.wall(), max(0.0, age))
        self._on_fresh()
        if age <= _SILENCE_MS:
            self._failures = 0


def _shut(held: socket.socket) -> None:
    try:
        # Of the plain socket: after that of the TLS socket, Python would send in clear.
        socket.socket.shutdown(held, socket.SHUT_RDWR)
    except OSError:
        pass
