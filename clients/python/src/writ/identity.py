"""A running instance's identity."""

from __future__ import annotations

import os
import socketserver
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Protocol

from .credential import Credential
from .error import WritError
from .events import Events
from .peer_rule import PeerRule, compile_rule
from .protection import protect_server
from .spiffe_id import parse_spiffe_id
from .tls import IdentityContext, Material
from .writ_server import rule_gate


class Keeper(Protocol):
    """What keeps an identity alive: the authority's renewals, or the stream of a Workload API."""

    #: ``https://host:port`` of the authority, where that is known.
    server: str | None

    def begin(self, identity: Identity) -> None: ...

    def renew(self, identity: Identity) -> Credential: ...

    def stop(self, identity: Identity, cause: str) -> None: ...

    def close(self) -> None: ...


class Identity:
    """Key and certificate of a running program, renewed as long as it lives, handed to TLS.

    The key is in memory. An identity belongs to the process that made it: ``connect`` after a fork, not before. Close it when
    done; a closed identity renews no more and its connections live on.

    Events (``on``): ``renewed`` with the new ``Credential``; ``failed`` with the error of a renewal that is tried again;
    ``ended`` with the error, when the certificate has expired or was revoked and nothing renews it any more; ``closed`` with an error
    (``revoked`` after ``stop``), when its own program is done with it.
    """

    def __init__(self, credential: Credential, keeper: Keeper) -> None:
        self.spiffe_id = credential.spiffe_id
        self.trust_domain = parse_spiffe_id(credential.spiffe_id).trust_domain
        self._material: Material = Material(credential.roots, credential)
        self._credential = credential
        self._keeper = keeper
        self._events = Events("renewed", "failed", "ended", "closed")
        self._over: Exception | None = None
        self._withdrawn: WritError | None = None
        self._process = os.getpid()
        keeper.begin(self)

    @property
    def server(self) -> str | None:
        """Where its authority is, ``https://host:port``; ``None`` where that is not known."""
        return self._keeper.server

    @property
    def credential(self) -> Credential:
        """What is in use now. Raises ``revoked`` while it is withdrawn, and ``unavailable`` in a forked process."""
        if self._process != os.getpid():
            raise WritError(
                "unavailable",
                "The identity belongs to the process that this one was forked from.",
                remedy="Call connect() after the fork.",
            )
        if self._withdrawn is not None:
            raise self._withdrawn
        return self._credential

    @property
    def is_over(self) -> bool:
        """Whether nothing renews it any more."""
        return self._over is not None

    def on(self, event: Literal["renewed", "failed", "ended", "closed"], callback: Callable[..., object]) -> None:
        """Calls back, from a thread of the identity's."""
        self._events.on(event, callback)

    def material(self) -> Material:
        """What new connections are made with: the newest credential and the roots that came with it."""
        credential = self.credential
        material = self._material
        if material.credential is not credential:
            self._material = material = Material(credential.roots, credential)
        return material

    def client_context(self, *, allow: PeerRule | None = None) -> IdentityContext:
        """For a client. With ``allow`` the server is accepted by its SPIFFE ID, whatever its host name; without, by host name as
        usual. Either way its chain must lead to our roots. Good for as long as the identity is."""
        gate = None if allow is None else rule_gate(compile_rule(allow, self.trust_domain))
        return IdentityContext(self.material, gate=gate, by_host_name=allow is None)

    def server_context(self, *, allow: PeerRule) -> IdentityContext:
        """For a server. Cuts off every client that ``allow`` does not name, before anything that it sent is read."""
        return IdentityContext(self.material, server_side=True, gate=rule_gate(compile_rule(allow, self.trust_domain)))

    def protect(self, server: socketserver.TCPServer, *, allow: PeerRule) -> None:
        """Puts a server of the standard library (``http.server``, ``socketserver``) behind ``server_context``."""
        protect_server(server, self.server_context(allow=allow))

    def renew(self) -> Credential:
        """Renews now; calls that overlap share one renewal. Raises when it fails, and the identity goes on as before."""
        if self._over is not None:
            raise self._over
        return self._keeper.renew(self)

    def stop(self, cause: str = "task_completed") -> None:
        """Stops this instance for good: its id is burnt and its certificates are revoked. For when its work is done or its key may
        be in other hands (``key_theft``). Then closes. Raises, and stays open, when the authority did not take it."""
        self._keeper.stop(self, cause)
        self._close(WritError("revoked", "The instance was stopped by its own program."))

    def close(self) -> None:
        """Renews no more."""
        self._close(WritError("unavailable", "The identity is closed.", remedy="Connect again."))

    def _close(self, why: WritError) -> None:
        first = self._over is None
        if first:
            self._over = why
        self._keeper.close()
        if first:
            self._events.tell("closed", why)

    def __enter__(self) -> Identity:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # What follows is for keepers.

    def replace(self, credential: Credential) -> None:
        """Puts a new certificate to use, unless the identity was closed meanwhile; then raises why."""
        if self._over is not None:
            raise self._over
        if credential.spiffe_id != self.spiffe_id:
            raise WritError("bad_certificate", "The new certificate is for somebody else.")
        self._credential = credential
        self._withdrawn = None
        self._events.tell("renewed", credential)

    def withdraw(self, error: WritError) -> None:
        """Makes no more connections, until there is a credential again."""
        if self._withdrawn is None:
            self._withdrawn = error
            self._events.tell("failed", error)

    def restore(self) -> None:
        """Goes on with the credential that was withdrawn."""
        if self._withdrawn is not None:
            self._withdrawn = None
            self._events.tell("renewed", self._credential)

    def end(self, error: Exception) -> None:
        """Nothing renews it any more."""
        if self._over is None:
            self._over = error
            self._keeper.close()
            self._events.tell("ended", error)

    def tell_failed(self, error: Exception) -> None:
        self._events.tell("failed", error)
