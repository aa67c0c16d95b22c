"""SPIFFE IDs, strictly (SPIFFE-ID §2): there is one spelling of an id, so ids are compared as text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .error import WritError

_SCHEME = "spiffe://"
_LONGEST = 2048
_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}")
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]+")


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """An id that ``parse_spiffe_id`` has accepted."""

    #: The whole, e.g. ``spiffe://agents.example.com/agent/planner/01k…``.
    uri: str
    trust_domain: str
    #: Empty for the id of a trust domain itself, as certificates of authorities carry it.
    segments: tuple[str, ...]

    def __str__(self) -> str:
        return self.uri


def parse_spiffe_id(text: str, field: str | None = None) -> SpiffeId:
    """Parses an id. Raises ``bad_spiffe_id``; ``field`` says where the text came from."""
    fault = _fault(text)
    if fault is not None:
        raise WritError(
            "bad_spiffe_id",
            f"The SPIFFE ID {fault}.",
            field=field,
            remedy="Give an id like spiffe://agents.example.com/agent/planner/01jd0000000000000000000000.",
        )
    domain, *segments = text[len(_SCHEME) :].split("/")
    return SpiffeId(text, domain, tuple(segments))


def _fault(text: str) -> str | None:
    if len(text) > _LONGEST:
        return f"is longer than {_LONGEST} bytes"
    if not text.startswith(_SCHEME):
        return "does not begin with spiffe://"
    domain, *segments = text[len(_SCHEME) :].split("/")
    if _DOMAIN.fullmatch(domain) is None:
        return "has a trust domain that is empty, too long, or has other characters than a-z, 0-9, dot, dash and underscore"
    if segments and segments[-1] == "":
        return "ends in a slash"
    for segment in segments:
        if segment in ("", ".", ".."):
            return "has a path segment that is empty, . or .."
        if _SEGMENT.fullmatch(segment) is None:
            return "has a path character other than letters, digits, dot, dash and underscore"
    return None
