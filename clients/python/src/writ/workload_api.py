"""An identity from the SPIFFE Workload API of this machine: of ``writ agent`` or of any other program that serves it."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import grpc

from .authority import claims_of
from .credential import Credential
from .error import WritError
from .evidence import Runtime
from .identity import Identity
from .workload_messages import (
    JwtSvid,
    X509Svid,
    credential_of,
    jwt_request,
    parse_jwt_svids,
    parse_x509_svids,
    runtime_request,
)

__all__ = ["JwtSvid", "fetch_jwt_svid", "from_workload_api", "present_runtime"]

_DEFAULT_ADDRESS = "unix:///run/writ-agent/api.sock"
#: Workload Endpoint §3: without it no call is answered.
_METADATA = (("workload.spiffe.io", "true"),)
_SERVICE = "/SpiffeWorkloadAPI"
_RUNTIME_SERVICE = "/writ.workload.v1.AgentRuntime"
_LARGEST_MESSAGE = 64 * 1024 * 1024
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 5.0
_PRESENT_SECONDS = 15.0
#: Asking again does not help.
_REFUSALS = ("denied", "bad_config", "bad_certificate", "bad_request")


def from_workload_api(
    address: str | None = None,
    *,
    spiffe_id: str | None = None,
    hint: str | None = None,
    server: str | None = None,
    runtime: Runtime | None = None,
    timeout: float = 30.0,
) -> Identity:
    """An identity that whoever serves the Workload API renews; no token and no key of one's own.

    ``address`` is ``unix:///path`` or ``tcp://ip:port``, by default the environment's ``SPIFFE_ENDPOINT_SOCKET``, else that of
    ``writ agent``. Of several identities the first is taken, or the one with this ``spiffe_id`` or ``hint``. ``server`` is where
    the authority is (``https://host:port``), for ``create_verifier``. Waits ``timeout`` seconds for the first answer.

    ``runtime`` is what this process runs: said to ``writ agent`` before an identity is asked for, and each time it was lost. A function is
    asked each time. When it changes, say so with ``present_runtime``.

    While the Workload API gives this identity no more (it was stopped, or held), ``credential`` raises ``revoked``; new connections
    are made again when it comes back. Raises ``denied`` where the caller is entitled to nothing, ``unavailable`` where nobody
    answers, ``bad_config`` for an address of another form, or a daemon that hears nothing of a runtime.
    """
    stream = _Stream(_target_of(address), spiffe_id, hint, server, runtime)
    return Identity(stream.first(timeout), stream)


def fetch_jwt_svid(
    audience: str | Sequence[str],
    *,
    address: str | None = None,
    spiffe_id: str | None = None,
    timeout: float = 10.0,
) -> JwtSvid:
    """A short-lived token for these audiences, of the default identity or the one with this ``spiffe_id``. Raises as above."""
    wanted = [audience] if isinstance(audience, str) else list(audience)
    with _channel(_target_of(address)) as channel:
        call: Any = channel.unary_unary(f"{_SERVICE}/FetchJWTSVID")
        try:
            answer: bytes = call(jwt_request(wanted, spiffe_id), timeout=timeout, metadata=_METADATA)
            return parse_jwt_svids(answer)[0]
        except grpc.RpcError as cause:
            raise _error_of(cause) from cause
        except (ValueError, IndexError) as cause:
            raise _not_understood() from cause


def present_runtime(runtime: Runtime, *, address: str | None = None, timeout: float = 15.0) -> None:
    """Says to ``writ agent`` what this process runs from now on, in place of what it said before. An identity that was let in with
    something else is taken back, and the authority quarantines it. Raises ``bad_request`` for what is no ``Runtime``, ``bad_config``
    where the daemon is not Writ's, ``unavailable``."""
    with _channel(_target_of(address)) as channel:
        try:
            _present(channel, runtime, timeout)
        except grpc.RpcError as cause:
            raise _error_of(cause) from cause


def _present(channel: grpc.Channel, runtime: Runtime, timeout: float) -> None:
    call: Any = channel.unary_unary(f"{_RUNTIME_SERVICE}/PresentRuntime")
    try:
        request = runtime_request(claims_of(runtime))
    except ValueError as cause:
        raise WritError("bad_request", "The runtime says something that there is no name for.", field="runtime") from cause
    try:
        call(request, timeout=timeout, metadata=_METADATA)
    except grpc.RpcError as cause:
        status = cause.code() if isinstance(cause, grpc.Call) else None
        if status == grpc.StatusCode.INVALID_ARGUMENT:
            raise WritError("bad_request", "What the runtime says has not the form that it must have.", field="runtime") from cause
        if status == grpc.StatusCode.UNIMPLEMENTED:
            raise WritError(
                "bad_config",
                "The daemon does not hear what a runtime says of its agent.",
                field="runtime",
                remedy='Leave "runtime" out, or have "writ agent" serve this machine.',
            ) from cause
        raise


class _Stream:
    """Keeps an identity by the stream of whole sets that the Workload API sends."""

    def __init__(
        self, target: str, spiffe_id: str | None, hint: str | None, server: str | None, runtime: Runtime | None = None
    ) -> None:
        self.server = server
        self._target = target
        self._spiffe_id = spiffe_id
        self._hint = hint
        self._runtime = runtime
        self._found = threading.Condition()
        self._first: Credential | None = None
        self._identity: Identity | None = None
        self._error: WritError | None = None
        self._closed = threading.Event()
        self._call: Any = None
        threading.Thread(target=self._run, name="writ-workload-api", daemon=True).start()

    def first(self, timeout: float) -> Credential:
        with self._found:
            self._found.wait_for(lambda: self._first is not None or self._is_refused(), timeout)
            if self._first is not None:
                return self._first
        self.close()
        raise self._error or WritError(
            "unavailable",
            "The Workload API did not answer in time.",
            remedy="Check that the daemon runs, and the address: the argument, else SPIFFE_ENDPOINT_SOCKET of the environment.",
        )

    def begin(self, identity: Identity) -> None:
        with self._found:
            self._identity = identity
            newest = self._first
        if newest is not None and newest.serial != identity.credential.serial:
            identity.replace(newest)

    def renew(self, identity: Identity) -> Credential:
        raise WritError(
            "bad_request",
            "An identity of the Workload API is renewed by whoever serves it.",
            remedy="Wait for its event 'renewed'.",
        )

    def stop(self, identity: Identity, cause: str) -> None:
        raise WritError(
            "bad_request",
            "An identity of the Workload API is stopped when its process ends.",
            remedy="End the process, or stop its instance: writ instance stop.",
        )

    def close(self) -> None:
        self._closed.set()
        if self._call is not None:
            self._call.cancel()

    def _is_refused(self) -> bool:
        return self._error is not None and self._error.code in _REFUSALS

    def _run(self) -> None:
        failures = 0
        while not self._closed.is_set():
            try:
                with _channel(self._target) as channel:
                    if self._runtime is not None:
                        _present(channel, self._runtime, _PRESENT_SECONDS)
                    call: Any = channel.unary_stream(f"{_SERVICE}/FetchX509SVID")
                    self._call = call(b"", metadata=_METADATA)
                    for message in self._messages():
                        failures = 0
                        self._hear(message)
            except grpc.RpcError as cause:
                self._failed(_error_of(cause))
            except WritError as error:
                self._failed(error)
            except Exception:  # a runtime that is a function may fail, and a thread that ended would let the identity expire
                self._failed(WritError("unavailable", "It cannot be said what this process runs.", field="runtime"))
            failures += 1
            pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 16))
            self._closed.wait(pause * (0.5 + random.random()))

    def _messages(self) -> Iterator[bytes]:
        if self._closed.is_set():
            self._call.cancel()
        yield from self._call

    def _hear(self, message: bytes) -> None:
        try:
            self._take(message)
        except WritError as error:
            self._failed(error)
        except Exception:  # whatever is wrong with it, a thread that ended would let the identity expire
            self._failed(_not_understood())

    def _take(self, message: bytes) -> None:
        chosen = self._chosen(parse_x509_svids(message))
        credential = credential_of(chosen)
        # From now on no other identity takes its place.
        self._spiffe_id = credential.spiffe_id
        with self._found:
            before, self._first = self._first, credential
            self._error = None
            identity = self._identity
            self._found.notify_all()
        if identity is not None and not identity.is_over and (before is None or before.serial != credential.serial):
            identity.replace(credential)
        elif identity is not None:
            identity.restore()

    def _chosen(self, svids: Sequence[X509Svid]) -> X509Svid:
        for svid in svids:
            if self._spiffe_id is not None:
                if svid.spiffe_id == self._spiffe_id:
                    return svid
            elif self._hint is None or svid.hint == self._hint:
                return svid
        raise WritError(
            "denied",
            "The Workload API does not give this program the identity that it asks for.",
            remedy=_ask_why(),
        )

    def _failed(self, error: WritError) -> None:
        if self._closed.is_set():
            return
        with self._found:
            self._error = error
            identity = self._identity
            self._found.notify_all()
        if identity is None:
            return
        if error.code == "denied":
            identity.withdraw(WritError("revoked", f"The identity is withdrawn. {error.message}", remedy=error.remedy))
        else:
            identity.tell_failed(error)


def _channel(target: str) -> grpc.Channel:
    return grpc.insecure_channel(target, options=[("grpc.max_receive_message_length", _LARGEST_MESSAGE)])


def _target_of(address: str | None) -> str:
    """The address as gRPC wants it. Workload Endpoint §4: an absolute path, or an IP address and a port, and nothing else."""
    given = address or os.environ.get("SPIFFE_ENDPOINT_SOCKET") or _DEFAULT_ADDRESS
    try:
        parts = urlsplit(given)
        if parts.query == parts.fragment == "" and given.isprintable():
            if parts.scheme == "unix" and parts.netloc == "" and parts.path.startswith("/") and parts.path != "/":
                return f"unix:{parts.path}"
            if parts.scheme == "tcp" and parts.path == "" and parts.port is not None and "@" not in parts.netloc:
                host = ip_address(parts.hostname or "")
                return f"ipv4:{host}:{parts.port}" if host.version == 4 else f"ipv6:[{host}]:{parts.port}"
    except ValueError:
        pass
    raise WritError(
        "bad_config",
        "The address of the Workload API has another form.",
        field="address",
        remedy="Give it like unix:///run/writ-agent/api.sock, or tcp://127.0.0.1:8081.",
    )


def _ask_why() -> str:
    return f'"writ agent why {os.getpid()}" on this machine says why while it runs, and afterwards the ledger does.'


def _error_of(cause: grpc.RpcError) -> WritError:
    status = cause.code() if isinstance(cause, grpc.Call) else grpc.StatusCode.UNKNOWN
    if status == grpc.StatusCode.PERMISSION_DENIED:
        return WritError("denied", "The Workload API gives this program no identity.", remedy=_ask_why())
    # What it does not understand now, it will not understand later (Workload Endpoint §6).
    codes = {grpc.StatusCode.INVALID_ARGUMENT: "bad_request", grpc.StatusCode.UNIMPLEMENTED: "bad_config"}
    # A daemon whose server is silent says so; where nobody answers, these are the words of gRPC.
    said = (cause.details() or "").rstrip(".") if isinstance(cause, grpc.Call) else ""
    return WritError(
        codes.get(status, "unavailable"),
        f"The Workload API gave no answer ({status.name}{': ' if said else ''}{said}).",
        remedy="Check the address, that the daemon runs, and what it says of its server.",
    )


def _not_understood() -> WritError:
    return WritError("bad_certificate", "The Workload API sent something that is no identity.")
