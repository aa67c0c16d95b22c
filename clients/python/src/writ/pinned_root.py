"""The root that a join token pins."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ssl

from .error import WritError
from .http_client import connection_error, parse_server
from .join_token import JoinToken

_TIMEOUT = 15.0
_LARGEST = 65_536


def fetch_pinned_root(token: JoinToken) -> str:
    """The root, in PEM, from the server that the token names.

    The connection is not verified, which is why nothing but the question is sent over it and nothing but a certificate with the
    pinned SHA-256 is taken from it. Raises ``unavailable`` where there is no server, ``bad_certificate`` where it has another
    root.
    """
    der = _decode(_fetch(token.address))
    if der is not None and hmac.compare_digest(hashlib.sha256(der).digest(), token.root_fingerprint):
        return ssl.DER_cert_to_PEM_cert(der)
    raise WritError(
        "bad_certificate",
        f"The server at {token.address} does not have the root that the join token names.",
        field="token",
        remedy="This is another server, or somebody stands in between. Ask for a new token and compare the address.",
    )


def _fetch(address: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    host, port = parse_server(f"https://{address}")
    connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
    try:
        connection.request("GET", "/v1/trust/root.pem")
        with connection.getresponse() as response:
            return response.read(_LARGEST)
    except (OSError, http.client.HTTPException) as cause:
        raise connection_error(address, cause) from cause
    finally:
        connection.close()


def _decode(pem: bytes) -> bytes | None:
    try:
        return ssl.PEM_cert_to_DER_cert(pem.decode("ascii").strip())
    except ValueError:
        return None
