"""Instances that a program runs in its own process, as the instance of a service that it is itself (``docs/ATTESTATION.md``)."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

from .authority import claims_of, to_credential
from .certificate import certificate_of
from .credential import Credential, csr_for, new_key
from .error import WritError
from .evidence import Runtime
from .http_client import HttpsClient
from .identity import Identity, Keeper
from .renewal import Renewer
from .spiffe_id import parse_spiffe_id
from .writ_server import server_context


class ChildIdentity(Identity):
    """An identity of one agent among several of this process. Shows nothing while its parent shows nothing."""

    def __init__(self, credential: Credential, keeper: Keeper, parent: Identity, reference: str) -> None:
        #: What its parent calls it by.
        self.reference = reference
        self._parent = parent
        super().__init__(credential, keeper)

    @property
    def credential(self) -> Credential:
        # Raises why, where it shows none.
        _ = self._parent.credential
        return super().credential


def children_of(parent: Identity, *, server: str | None = None) -> Children:
    """The instances of this process. ``server`` is where the authority is (``https://host:port``), where the identity does not say:
    one of the Workload API does not. Raises ``bad_config`` where nobody says it."""
    found = server or parent.server
    if found is None:
        raise WritError("bad_config", "It is not said where the authority is.", field="server", remedy="Give it.")
    return Children(parent, found)


class Children:
    """Each has a key of its own, made here, and renews itself. All fall with their parent, and are closed with it."""

    def __init__(self, parent: Identity, server: str) -> None:
        self._parent = parent
        self._server = server
        self._lock = threading.Lock()
        self._living: dict[str, tuple[str, ChildIdentity]] = {}
        self._over = False
        parent.on("ended", self._fall)
        parent.on("closed", self._closed)

    def start(
        self,
        *,
        agent: str,
        reference: str,
        workflow: str | None = None,
        runtime: Runtime | None = None,
        lifetime_seconds: int | None = None,
        dns_names: Sequence[str] | None = None,
        scopes: Sequence[str] | None = None,
    ) -> ChildIdentity:
        """An identity for what is called by ``reference``; of one that runs already, that very identity. The same reference is the same
        instance for as long as the parent is, also after a lost answer. Blocks for one request.

        ``agent`` is of what it is a copy; ``workflow`` asks for a registration entry for it; what ``runtime`` says goes with the start
        and with each renewal. Raises ``denied`` where no entry lets it in, ``revoked`` where it was stopped, ``inactive`` where it is
        held, ``conflict`` where the reference is that of another agent, ``unavailable``.
        """
        with self._lock:
            if self._over:
                raise WritError("unavailable", "The parent of these instances is closed.")
            known = self._living.get(reference)
            if known is not None:
                if known[0] != agent:
                    raise WritError(
                        "conflict",
                        "The reference is that of an instance of another agent.",
                        field="reference",
                        remedy="Give each instance a reference of its own.",
                    )
                return known[1]
            names = None if dns_names is None else list(dns_names)
            asked = {
                "agent": agent,
                "reference": reference,
                "workflow": workflow,
                "lifetime_seconds": lifetime_seconds,
                "dns_names": names,
                "scopes": None if scopes is None else list(scopes),
            }
            authority = _ParentAuthority(self._parent, self._server, runtime, names)
            credential = authority.start({name: value for name, value in asked.items() if value is not None})
            child = ChildIdentity(credential, Renewer(authority), self._parent, reference)
            self._living[reference] = (agent, child)
        child.on("ended", lambda _: self._forget(child))
        child.on("closed", lambda _: self._forget(child))
        return child

    def get(self, reference: str) -> ChildIdentity | None:
        """The one that is called so and runs here."""
        known = self._living.get(reference)
        return None if known is None else known[1]

    def __iter__(self) -> Iterator[ChildIdentity]:
        with self._lock:
            return iter([child for _, child in self._living.values()])

    def __len__(self) -> int:
        return len(self._living)

    def close(self) -> None:
        """Renews none any more. They are not stopped: who asks for the same references again goes on with them."""
        self._over = True
        for child in self:
            child.close()

    def _forget(self, child: ChildIdentity) -> None:
        with self._lock:
            known = self._living.get(child.reference)
            if known is not None and known[1] is child:
                del self._living[child.reference]

    def _fall(self, error: Exception) -> None:
        self._over = True
        for child in self:
            child.end(error)

    def _closed(self, error: Exception) -> None:
        if isinstance(error, WritError) and error.code == "revoked":
            self._fall(error)
        else:
            self.close()


class _ParentAuthority:
    """The authority of a child, spoken to with the certificate of its parent."""

    def __init__(self, parent: Identity, server: str, runtime: Runtime | None, dns_names: list[str] | None) -> None:
        self.server = server
        self._parent = parent
        self._runtime = runtime
        self._dns_names = dns_names

    def start(self, asked: dict[str, Any]) -> Credential:
        return self._ask("/v1/children", self._parent.credential.roots, asked)

    def renew(self, current: Credential) -> Credential:
        named = {} if self._dns_names is None else {"dns_names": self._dns_names}
        renewed = self._ask(f"/v1/workloads/{_instance(current)}/renew", current.roots, named)
        if renewed.spiffe_id != current.spiffe_id:
            raise WritError("bad_certificate", "The server answered with a certificate for somebody else.")
        return renewed

    def stop(self, current: Credential, cause: str) -> None:
        self._client().send("POST", f"/v1/instances/{_instance(current)}/stop", {"cause": cause})

    def _ask(self, path: str, roots: tuple[str, ...], asked: dict[str, Any]) -> Credential:
        key = new_key(certificate_of(roots[0]))
        body = {"csr": csr_for(key), **asked}
        if self._runtime is not None:
            body["runtime"] = dict(claims_of(self._runtime))
        return to_credential(self._client().json("POST", path, body), key, roots)

    def _client(self) -> HttpsClient:
        return HttpsClient(self.server, server_context(self._parent.trust_domain, self._parent.material))


def _instance(credential: Credential) -> str:
    return parse_spiffe_id(credential.spiffe_id).segments[-1]
