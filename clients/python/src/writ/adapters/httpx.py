"""``httpx`` with an identity."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

from ..peer_rule import PeerRule
from ..tls import PeerRefused
from ..verifier import Verifier
from .contexts import ContextMaker, Generation


class IdentityTransport(httpx.BaseTransport):
    """For ``httpx.Client(transport=…)``. With ``allow`` the server is accepted by its SPIFFE ID, without by its host name.

    After a renewal new requests open new connections; those under way end on the old. ``options`` are those of
    ``httpx.HTTPTransport``, but for ``verify`` and ``cert``.
    """

    def __init__(self, identity: ContextMaker, *, allow: PeerRule | None = None, **options: Any) -> None:
        self._context = identity.client_context(allow=allow)
        self._generation = Generation(self._context)
        self._options = options
        self._lock = threading.Lock()
        self._inner = _Counted(httpx.HTTPTransport(verify=self._context, **options))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        _require_https(request)
        with self._lock:
            if self._generation.has_passed():
                self._inner.retire()
                self._inner = _Counted(httpx.HTTPTransport(verify=self._context, **self._options))
            inner = self._inner
            inner.enter()
        try:
            response = inner.transport.handle_request(request)
        except PeerRefused as error:
            inner.leave()
            raise _told(error) from error
        except BaseException:
            inner.leave()
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Stream(response.stream, inner),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._inner.transport.close()


class _Counted:
    """A transport that is closed when nobody uses it any more."""

    def __init__(self, transport: httpx.HTTPTransport) -> None:
        self.transport = transport
        self._lock = threading.Lock()
        self._users = 0
        self._retired = False

    def enter(self) -> None:
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            over = self._retired and self._users == 0
        if over:
            self.transport.close()

    def retire(self) -> None:
        with self._lock:
            self._retired = True
            over = self._users == 0
        if over:
            self.transport.close()


class _Stream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, inner: _Counted) -> None:
        self._stream = stream
        self._inner: _Counted | None = inner

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except PeerRefused as error:
            raise _told(error) from error

    def close(self) -> None:
        self._stream.close()
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.leave()


class AsyncIdentityTransport(httpx.AsyncBaseTransport):
    """The same for ``httpx.AsyncClient(transport=…)``. Of a ``Verifier`` each answer is cut when its server falls."""

    def __init__(self, identity: ContextMaker, *, allow: PeerRule | None = None, **options: Any) -> None:
        self._verifier = identity if isinstance(identity, Verifier) else None
        self._context = identity.client_context(allow=allow)
        self._generation = Generation(self._context)
        self._options = options
        self._inner = _AsyncCounted(httpx.AsyncHTTPTransport(verify=self._context, **options))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _require_https(request)
        if self._generation.has_passed():
            old, self._inner = self._inner, _AsyncCounted(httpx.AsyncHTTPTransport(verify=self._context, **self._options))
            await old.retire()
        inner = self._inner
        inner.users += 1
        try:
            response = await inner.transport.handle_async_request(request)
        except PeerRefused as error:
            await inner.leave()
            raise _told(error) from error
        except BaseException:
            await inner.leave()
            raise
        if self._verifier is not None:
            self._verifier.track(response.extensions["network_stream"])
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_AsyncStream(response.stream, inner),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._inner.transport.aclose()


class _AsyncCounted:
    def __init__(self, transport: httpx.AsyncHTTPTransport) -> None:
        self.transport = transport
        self.users = 0
        self._retired = False

    async def leave(self) -> None:
        self.users -= 1
        if self._retired and self.users == 0:
            await self.transport.aclose()

    async def retire(self) -> None:
        self._retired = True
        if self.users == 0:
            await self.transport.aclose()


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, inner: _AsyncCounted) -> None:
        self._stream = stream
        self._inner: _AsyncCounted | None = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._stream:
                yield chunk
        except PeerRefused as error:
            raise _told(error) from error

    async def aclose(self) -> None:
        await self._stream.aclose()
        inner, self._inner = self._inner, None
        if inner is not None:
            await inner.leave()


def _told(error: PeerRefused) -> httpx.ReadError:
    """A connection that was cut, as callers of httpx expect to hear of it."""
    return httpx.ReadError(error.message)


def _require_https(request: httpx.Request) -> None:
    if request.url.scheme != "https":
        raise httpx.UnsupportedProtocol("Only https:// can carry an identity.", request=request)


def client(identity: ContextMaker, *, allow: PeerRule | None = None, **options: Any) -> httpx.Client:
    """An ``httpx.Client`` that shows this identity and takes no proxy from the environment. ``options`` are the client's."""
    return httpx.Client(transport=IdentityTransport(identity, allow=allow), trust_env=False, **options)


def async_client(identity: ContextMaker, *, allow: PeerRule | None = None, **options: Any) -> httpx.AsyncClient:
    """The same for ``asyncio``."""
    return httpx.AsyncClient(transport=AsyncIdentityTransport(identity, allow=allow), trust_env=False, **options)
