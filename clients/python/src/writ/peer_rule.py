"""Whom to accept at the other end of a connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Union

from .error import WritError
from .spiffe_id import SpiffeId, parse_spiffe_id

#: A text is an id: whole (``spiffe://…``), or its path within the own trust domain, in which a last segment ``*`` stands for
#: any one segment (``agent/planner/*``: every instance of planner). A sequence accepts what any of its texts does. A function
#: decides for itself, and accepts only by answering ``True``; the chain has been verified before it is asked.
PeerRule = Union[str, Sequence[str], Callable[[SpiffeId], bool]]

#: A rule as a function. It never raises: a rule that fails refuses.
PeerTest = Callable[[SpiffeId], bool]

#: The authority's own servers.
SERVER_RULE = "writ/server"


def compile_rule(rule: PeerRule, trust_domain: str) -> PeerTest:
    """Gives a rule as a function. Raises ``bad_spiffe_id`` where a text of it could match nobody."""
    if callable(rule):
        return _guarded(rule)
    tests = [_compile_text(text, trust_domain) for text in ([rule] if isinstance(rule, str) else rule)]
    return lambda peer: any(test(peer) for test in tests)


def _guarded(function: Callable[[SpiffeId], bool]) -> PeerTest:
    def test(peer: SpiffeId) -> bool:
        try:
            # A coroutine is no answer, though Python would take it for a true one.
            return function(peer) is True
        except Exception:
            return False

    return test


def _compile_text(text: str, trust_domain: str) -> PeerTest:
    uri = text if text.startswith("spiffe://") else f"spiffe://{trust_domain}/{text}"
    anyone = uri.endswith("/*")
    given = parse_spiffe_id(uri[:-2] if anyone else uri, "allow")
    length = len(given.segments) + anyone
    if given.trust_domain == trust_domain and not _is_possible(given.segments[:1], length):
        raise WritError(
            "bad_spiffe_id",
            "The rule could match nobody: no id of this trust domain looks like that.",
            field="allow",
            remedy="Say agent/NAME/* for every instance of an agent, or agent/NAME/INSTANCE for one.",
        )
    if not anyone:
        return lambda peer: peer.uri == uri
    prefix = f"{given.uri}/"
    return lambda peer: len(peer.segments) == length and peer.uri.startswith(prefix)


def _is_possible(kind: tuple[str, ...], length: int) -> bool:
    """Agents and services have three segments (kind, name, instance); nobody has one or none."""
    return length == 3 if kind in (("agent",), ("service",)) else length > 1
