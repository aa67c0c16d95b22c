"""``aiohttp`` with an identity: its client and its server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web

from ..peer_rule import PeerRule
from ..spiffe_id import SpiffeId
from ..verifier import Verifier
from .contexts import ContextMaker

#: Where a handler finds who asks: ``request[PEER]``. Texts are what older versions have.
PEER: Any = web.RequestKey("writ.peer", SpiffeId) if hasattr(web, "RequestKey") else "writ.peer"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class IdentityConnector(aiohttp.TCPConnector):
    """For ``aiohttp.ClientSession(connector=…)``. With ``allow`` the server is accepted by its SPIFFE ID, without by its host name.
    Of a ``Verifier`` each connection is cut when its server falls. After a renewal new requests open new connections.
    """

    def __init__(self, identity: ContextMaker, *, allow: PeerRule | None = None, **options: Any) -> None:
        self._writ_context = identity.client_context(allow=allow)
        self._verifier = identity if isinstance(identity, Verifier) else None
        super().__init__(ssl=self._writ_context, **options)

    async def connect(self, *args: Any, **options: Any) -> Any:
        while True:
            connection = await super().connect(*args, **options)
            transport = connection.transport
            if transport is None:
                return connection
            found = transport.get_extra_info("ssl_object")
            if found is None:
                connection.close()
                raise aiohttp.ClientConnectionError("Only https:// can carry an identity.")
            if not self._writ_context.is_current(found.context):
                # Kept from before a renewal.
                connection.close()
                continue
            if self._verifier is not None:
                self._verifier.track(transport)
            return connection


def session(identity: ContextMaker, *, allow: PeerRule | None = None, **options: Any) -> aiohttp.ClientSession:
    """A ``ClientSession`` that shows this identity; to be made where the event loop runs. ``options`` are the session's."""
    return aiohttp.ClientSession(connector=IdentityConnector(identity, allow=allow), **options)


def middleware(verifier: Verifier, *, allow: PeerRule | None = None) -> Any:
    """For ``web.Application(middlewares=[…])`` behind ``ssl_context=verifier.server_context(…)``: each request is answered only where its
    peer may be answered now, else with 403, or 503 while the feed is too old. A connection is closed when its peer falls.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        decision = verifier.authorize(request, allow=allow)
        if decision.id is None:
            status = 503 if decision.reason == "stale" else 403
            answer = web.json_response({"refused": decision.reason}, status=status)
            if status == 403:
                answer.force_close()
            return answer
        verifier.track(request)
        request[PEER] = decision.id
        return await handler(request)

    return guard


def peer_of(request: web.Request) -> SpiffeId:
    """Who asks, in a handler behind ``middleware``."""
    peer: SpiffeId = request[PEER]
    return peer
