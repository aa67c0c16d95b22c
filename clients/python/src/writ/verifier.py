"""Says of each request whether its peer may be answered now."""

from __future__ import annotations

import secrets
import socketserver
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal

from .acknowledger import Acknowledger
from .certificate import PeerFacts
from .enforcement import Enforcement
from .error import WritError
from .events import Events
from .feed_events import FeedEntry
from .feed_reader import FeedReader
from .identity import Identity
from .machine_clock import MachineClock
from .peer import connection_of
from .peer_rule import SERVER_RULE, PeerRule, PeerTest, compile_rule
from .protection import protect_server
from .spiffe_id import SpiffeId
from .standing import Mode, Refusal, Standing, staleness_of
from .stopped import Fallen
from .tls import Connection, Gate, IdentityContext, PeerRefused

_LOOK_S = 0.1
_FORGET_LOOKS = 600
#: Rules that are kept compiled.
_RULES = 64


@dataclass(frozen=True, slots=True)
class Decision:
    """True where the peer may be answered, who is ``id`` then; else ``reason`` says why not."""

    allowed: bool
    id: SpiffeId | None
    reason: Refusal | None

    def __bool__(self) -> bool:
        return self.allowed


def create_verifier(
    identity: Identity,
    *,
    mode: Mode,
    server: str | None = None,
    strict_ms: float = 5000,
    stale_ms: float = 15 * 60_000,
    point: str | None = None,
    clock: MachineClock | None = None,
) -> Verifier:
    """Makes a verifier and begins to read the revocation feed. Wait for ``ready()`` before the first peer comes.

    ``strict`` (decisions, gateways) refuses everybody when the feed is older than ``strict_ms``; ``available`` (plain mutual TLS)
    goes on for ``stale_ms`` with what it knows, and raises an alarm. Ephemeral peers, of whom nothing but the feed tells, are
    refused after ``strict_ms`` in both. ``server`` is ``https://host:port`` of the API, by default where the identity enrolled;
    ``point`` the name of this enforcement point in the server's records (letters, digits and ``. _ : -``), by default a random
    one; ``clock`` this machine's, but in tests.

    Raises ``bad_config``.
    """
    reads = server if server is not None else identity.server
    if reads is None:
        raise WritError(
            "bad_config",
            "The identity does not say where its server is.",
            field="server",
            remedy="Give the address of the API, like https://ca.internal:8443.",
        )
    return Verifier(identity, mode, reads, strict_ms, stale_ms, point or secrets.token_urlsafe(9), clock or MachineClock())


class Verifier:
    """Judges peers by chain, SPIFFE ID, validity and the revocation feed, which it follows. Closes live connections of what falls,
    and tells the server when it refuses. Close it when done. Belongs to the process that made it.

    Events (``on``): ``well`` when everything is known that the server knows, for the first time or again; ``alarm`` with the age
    in milliseconds and the latest error, when the feed is older than ``strict_ms``; ``entry`` with a ``FeedEntry``.
    """

    def __init__(
        self,
        identity: Identity,
        mode: Mode,
        server: str,
        strict_ms: float,
        stale_ms: float,
        point: str,
        clock: MachineClock,
    ) -> None:
        self._identity = identity
        self._mode = mode
        self._staleness = staleness_of(mode, strict_ms, stale_ms)
        self._events = Events("well", "alarm", "entry")
        self._rules: dict[str | tuple[str, ...], PeerTest] = {}
        self._is_well = threading.Event()
        self._was_well = False
        self._refusing = True
        self._looking = threading.Lock()
        self._closed = threading.Event()
        self._last_error: Exception | None = None
        self._clock = clock
        context = identity.client_context(allow=SERVER_RULE)
        self._reader = FeedReader(
            server,
            context,
            point=point,
            clock=clock,
            on_entries=self._apply,
            on_fresh=self._look,
            on_lost=self._lost,
        )
        self._standing = Standing(staleness=self._staleness, age=self._reader.age, clock=clock)
        acknowledger = Acknowledger(server, context, point=point, log=lambda: self._reader.log)
        self._acknowledger = acknowledger
        self._enforcement = Enforcement(self._standing, self._reader, acknowledger, clock)
        self._reader.start()
        threading.Thread(target=self._run, name="writ-verifier", daemon=True).start()

    @property
    def well(self) -> bool:
        """Whether everything is known that the server knows, as of a moment that is not older than ``strict_ms``."""
        return self._is_well.is_set()

    @property
    def age(self) -> float:
        """How old, at most, what is known may be: milliseconds; infinite before the feed was read."""
        return self._reader.age()

    def ready(self, timeout: float | None = None) -> None:
        """Gives back control when the verifier is well. Raises ``unavailable`` after ``timeout`` seconds."""
        if not self._is_well.wait(timeout):
            raise WritError(
                "unavailable",
                "The revocation feed could not be read in time.",
                remedy="Check that this machine reaches the authority.",
            ) from self._last_error

    def on(self, event: Literal["well", "alarm", "entry"], callback: Callable[..., object]) -> None:
        """Calls back, from a thread of the verifier's."""
        self._events.on(event, callback)

    def fallen(self, subjects: Iterable[str]) -> Fallen | None:
        """Why nobody may act under one of these subjects, as far as is known (``docs/FEED.md`` has their forms)."""
        return self._standing.fall_of(tuple(subjects))

    def authorize(self, peer: object, *, allow: PeerRule | None = None) -> Decision:
        """Whether this peer may be answered now. To be asked for each request; waits for nothing.

        ``peer`` is a connection of one of the identity's or verifier's contexts, or what has one: a TLS socket, a transport or
        writer of ``asyncio``, a request of aiohttp, a handler of ``http.server``.
        """
        connection = connection_of(peer)
        facts = None if connection is None else self._facts_of(connection)
        if facts is None:
            return Decision(False, None, "no_identity")
        if allow is not None and not self._test(allow)(facts.id):
            return Decision(False, None, "not_allowed")
        reason = self._standing.against(facts)
        if reason is not None:
            return Decision(False, None, reason)
        self._enforcement.used(facts)
        return Decision(True, facts.id, None)

    def client_context(self, *, allow: PeerRule | None = None) -> IdentityContext:
        """As the identity's; no server is trusted that has fallen, and connections to one that falls are closed."""
        test = None if allow is None else compile_rule(allow, self._identity.trust_domain)
        return IdentityContext(self._identity.material, gate=self._gate(test), by_host_name=allow is None)

    def server_context(self, *, allow: PeerRule) -> IdentityContext:
        """As the identity's; no client comes in that may not be answered, and connections of what falls are closed, also of those of
        whom the feed, while it is too old, says nothing any more: in ``strict`` all, in ``available`` ephemeral peers."""
        test = compile_rule(allow, self._identity.trust_domain)
        return IdentityContext(self._identity.material, server_side=True, gate=self._gate(test))

    def protect(self, server: socketserver.TCPServer, *, allow: PeerRule) -> None:
        """Puts a server of the standard library (``http.server``, ``socketserver``) behind ``server_context``."""
        protect_server(server, self.server_context(allow=allow))

    def track(self, peer: object) -> None:
        """Closes a connection of ``asyncio`` or of another identity's context when its peer falls, even while nothing is said on it;
        at once when it has. Those over sockets of the verifier's own contexts are tracked anyway. Takes what ``authorize`` does.
        """
        connection = connection_of(peer)
        facts = None if connection is None else self._facts_of(connection)
        if connection is None or facts is None:
            raise WritError("bad_request", "This is no connection with a peer.", field="peer")
        carrier = getattr(peer, "get_extra_info", None) or getattr(getattr(peer, "transport", None), "get_extra_info", None)
        plain: Any = None if carrier is None else carrier("socket")
        if plain is not None and hasattr(connection, "carried_by"):
            connection.carried_by(plain)
        self._enforcement.live.hold(connection, facts)
        if self._standing.against(facts) is not None:
            connection.cut()

    def close(self) -> None:
        """Follows the feed no more: from then on it grows old."""
        self._closed.set()
        self._reader.close()
        self._acknowledger.close()

    def __enter__(self) -> Verifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _gate(self, test: PeerTest | None) -> Gate:
        live = self._enforcement.live

        def gate(connection: Connection, shown: PeerFacts) -> None:
            facts = shown.seen_from(self._identity.trust_domain)
            if test is not None and not test(facts.id):
                raise PeerRefused("denied", f"The peer is {facts.id}, which is not allowed here.")
            # Held first: what falls in between is cut.
            live.hold(connection, facts)
            reason = self._standing.against(facts)
            if reason is not None:
                live.let_go(connection)
                raise _refused(reason, facts.ephemeral)

        return gate

    def _facts_of(self, connection: Connection) -> PeerFacts | None:
        facts = connection.peer_facts
        return None if facts is None else facts.seen_from(self._identity.trust_domain)

    def _test(self, rule: PeerRule) -> PeerTest:
        """Texts are compiled once: rules are few, and each is asked for every request."""
        if callable(rule):
            return compile_rule(rule, self._identity.trust_domain)
        key = rule if isinstance(rule, str) else tuple(rule)
        test = self._rules.get(key)
        if test is None:
            if len(self._rules) >= _RULES:
                self._rules.clear()
            test = self._rules[key] = compile_rule(rule, self._identity.trust_domain)
        return test

    def _apply(self, entries: Sequence[FeedEntry], anew: bool) -> None:
        self._enforcement.apply(entries, anew)
        for entry in entries:
            self._events.tell("entry", entry)

    def _lost(self, error: Exception) -> None:
        self._last_error = error

    def _run(self) -> None:
        looks = 0
        while not self._closed.wait(_LOOK_S):
            looks += 1
            self._look()
            self._enforcement.look_after()
            if looks % _FORGET_LOOKS == 0:
                self._standing.stopped.forget(self._clock.wall())
                self._enforcement.live.forget()

    def _look(self) -> None:
        with self._looking:
            age = self.age
            well, refusing = age <= self._staleness.strict_ms, age > self._staleness.limit_ms
            if refusing and not self._refusing and self._mode == "strict":
                self._enforcement.live.cut_stale(everybody=True)
            self._refusing = refusing
            if well == self._is_well.is_set():
                return
            if well:
                self._was_well = True
                self._is_well.set()
            else:
                self._is_well.clear()
                self._enforcement.live.cut_stale(everybody=False)
        if well:
            self._events.tell("well")
        elif self._was_well:
            self._events.tell("alarm", age, self._last_error)


def _refused(reason: Refusal, ephemeral: bool) -> PeerRefused:
    if reason != "stale":
        return PeerRefused("revoked", f"The peer may not be trusted now: {reason}.")
    why = "stale, and nothing but the feed tells of its certificate, which is ephemeral" if ephemeral else "stale"
    return PeerRefused("unavailable", f"The peer may not be trusted now: {why}.")
