"""The connection of a peer, from whatever a program has of it at hand."""

from __future__ import annotations

from .tls import CheckedObject, CheckedSocket, Connection


def connection_of(peer: object) -> Connection | None:
    """The connection itself, or that of what has one; ``None`` where there is none of an identity's contexts."""
    if isinstance(peer, (CheckedSocket, CheckedObject)):
        return peer
    # A transport or writer of asyncio, or what has one, as a request of aiohttp.
    for carrier in (peer, getattr(peer, "transport", None)):
        ask = getattr(carrier, "get_extra_info", None)
        found = ask("ssl_object") if callable(ask) else None
        if isinstance(found, (CheckedSocket, CheckedObject)):
            return found
    # A handler of http.server or socketserver.
    for name in ("connection", "request"):
        found = getattr(peer, name, None)
        if isinstance(found, (CheckedSocket, CheckedObject)):
            return found
    return None
