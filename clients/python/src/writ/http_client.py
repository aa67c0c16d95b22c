"""A small HTTPS client for Writ's own interface."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .error import WritError
from .tls import PeerRefused

_LARGEST_ANSWER = 32 * 1024 * 1024
_FIRST_PAUSE = 0.1
#: A server that asks for a longer pause than this is not waited for; seconds.
_LONGEST_PAUSE = 20.0
_PASSING = frozenset({408, 429, 503})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpsClient:
    """Speaks to one server over a context. For one thread at a time.

    Requests that fail on the way, or that the server could not take just now (408, 429, 503), are tried again after a pause
    with jitter; writes carry an idempotency key, so that trying again is safe.
    """

    def __init__(
        self,
        server: str,
        context: ssl.SSLContext,
        *,
        timeout: float = 15.0,
        attempts: int = 4,
        keeps_connection: bool = False,
    ) -> None:
        self._host, self._port = parse_server(server)
        self._context = context
        self._timeout = timeout
        self._attempts = attempts
        self._keeps = keeps_connection
        self._kept: http.client.HTTPSConnection | None = None

    def json(self, method: str, path: str, body: object = None) -> Any:
        """The answer to a request, when its status is 2xx. Raises ``WritError`` with the code of the server's problem
        document, ``unavailable`` where there was no answer, ``bad_certificate`` where the server could not be trusted.
        """
        answer = self.send(method, path, body)
        try:
            return json.loads(answer.body)
        except ValueError as cause:
            raise WritError("internal", "The server answered with something that is not JSON.") from cause

    def send(self, method: str, path: str, body: object = None) -> Answer:
        """As ``json``, without reading the body."""
        headers = {"Accept": "application/json, application/problem+json, */*"}
        payload = None if body is None else json.dumps(body).encode()
        if payload is not None:
            headers["Content-Type"] = "application/json"
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        attempt = 0
        while True:
            attempt += 1
            wait = random.random() * _FIRST_PAUSE * 2**attempt
            try:
                answer = self._once(method, path, payload, headers)
            except WritError as error:
                if error.code != "unavailable" or attempt >= self._attempts:
                    raise
            else:
                if answer.status < 300:
                    return answer
                wait = max(wait, _retry_after(answer))
                if answer.status not in _PASSING or attempt >= self._attempts or wait > _LONGEST_PAUSE:
                    raise problem_error(answer)
            time.sleep(wait)

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _once(self, method: str, path: str, payload: bytes | None, headers: Mapping[str, str]) -> Answer:
        connection = self._kept or http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout, context=self._context
        )
        self._kept = None
        keep = False
        try:
            connection.request(method, path, body=payload, headers=dict(headers))
            with connection.getresponse() as response:
                body = response.read(_LARGEST_ANSWER + 1)
                if len(body) > _LARGEST_ANSWER:
                    raise WritError("too_large", "The answer of the server is too large.")
                keep = self._keeps and not response.will_close
                return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
        except (OSError, http.client.HTTPException) as cause:
            raise connection_error(f"{self._host}:{self._port}", cause) from cause
        finally:
            if keep:
                self._kept = connection
            else:
                connection.close()


def parse_server(server: str) -> tuple[str, int]:
    """Host and port of ``https://host:port``. Raises ``bad_config``."""
    try:
        parts = urlsplit(server)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        host, port = None, 443
    if host is None or parts.scheme != "https" or parts.path not in ("", "/") or parts.query or parts.username:
        raise WritError(
            "bad_config",
            "The server is not an https:// address without a path.",
            field="server",
            remedy="Give it like https://localhost:8443.",
        )
    return host, port


def problem_error(answer: Answer) -> WritError:
    """The error that a problem document (RFC 9457) stands for; for any other answer one that names its status."""
    try:
        problem = json.loads(answer.body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict) or not isinstance(problem.get("code"), str):
        return WritError(
            "internal",
            f"The server answered with status {answer.status} and no problem document.",
            remedy="Check that the address is that of a Writ server.",
        )
    code: str = problem["code"]
    return WritError(
        code,
        _text(problem.get("detail")) or f"The server refused it: {code}.",
        field=_text(problem.get("field")),
        remedy=_text(problem.get("remedy")),
    )


def connection_error(host: str, cause: Exception) -> WritError:
    """The error for a request that got no answer."""
    if isinstance(cause, PeerRefused):
        return WritError("bad_certificate", f"The server at {host} is not to be trusted: {cause.message}")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return WritError(
            "bad_certificate",
            f"The server at {host} shows a certificate that is not to be trusted here: {cause.verify_message}.",
            remedy="Check the address and this machine's clock. If the authority was set up anew, take a new join token.",
        )
    if isinstance(cause, TimeoutError):
        how, remedy = "did not answer in time", "Check the address, the network and its firewalls."
    elif isinstance(cause, ConnectionRefusedError):
        how, remedy = "is not there: nothing listens on that port", "Check the port, and that the server runs."
    else:
        how = f"cannot be reached or broke the connection ({type(cause).__name__})"
        remedy = "Check that the address is that of a Writ server, and that it runs."
    return WritError("unavailable", f"The server at {host} {how}.", remedy=remedy)


def _retry_after(answer: Answer) -> float:
    """Seconds that the server asks to wait; 0 when it does not."""
    try:
        return float(answer.headers.get("retry-after", "0"))
    except ValueError:
        return 0.0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
