"""Servers of the standard library behind TLS that judges each client."""

from __future__ import annotations

import socketserver
import ssl
from typing import Any

from .tls import IdentityContext

#: Seconds for a client to say who it is.
_HANDSHAKE = 10.0


def protect_server(server: socketserver.TCPServer, context: IdentityContext) -> None:
    """Every connection of the server shows the newest certificate, and its client is judged before a handler sees it.

    The handshake is where the handler runs (in its own thread with ``ThreadingMixIn``), so that a silent client holds up
    nobody else. A client that is refused is no error of the server's and leaves no trace but its closed connection.
    """
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    handle = server.finish_request

    def finish_request(request: Any, client_address: Any) -> None:
        assert isinstance(request, ssl.SSLSocket)
        before = request.gettimeout()
        request.settimeout(_HANDSHAKE)
        try:
            request.do_handshake()
        except OSError:
            return
        request.settimeout(before)
        handle(request, client_address)

    server.finish_request = finish_request  # type: ignore[method-assign]
