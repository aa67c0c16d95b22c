"""Whether who answers is a server of the authority. The name of the host would be no proof: services of the trust domain may have
certificates with DNS names, too."""

from __future__ import annotations

from collections.abc import Callable

from cryptography import x509

from .certificate import PeerFacts, certificate_of, spiffe_id_of
from .error import WritError
from .peer_rule import SERVER_RULE, PeerTest, compile_rule
from .tls import Connection, Gate, IdentityContext, Material, PeerRefused


def rule_gate(allowed: PeerTest) -> Gate:
    """Lets those in whom a rule allows."""

    def gate(_: Connection, facts: PeerFacts) -> None:
        if not allowed(facts.id):
            raise PeerRefused("denied", f"The peer is {facts.id}, which is not allowed here.")

    return gate


def server_context(trust_domain: str, material: Callable[[], Material]) -> IdentityContext:
    """For the authority of a known trust domain: ``spiffe://TRUST-DOMAIN/writ/server`` and nobody else."""
    return IdentityContext(material, gate=rule_gate(compile_rule(SERVER_RULE, trust_domain)))


def unknown_server_context(root: str) -> IdentityContext:
    """The same for a stranger who knows the root alone (PEM).

    Writ's own root says its trust domain. Somebody else's does not, and may vouch for other trust domains beside: there the
    host name has to be right as well.
    """
    material = Material((root,), None)
    known = _trust_domain_of(certificate_of(root))
    if known is not None:
        return server_context(known, lambda: material)

    def shaped(_: Connection, facts: PeerFacts) -> None:
        if facts.id.segments != ("writ", "server"):
            raise PeerRefused("denied", f"The peer is {facts.id}, which is no server of an authority.")

    return IdentityContext(lambda: material, gate=shaped, by_host_name=True)


def _trust_domain_of(root: x509.Certificate) -> str | None:
    try:
        named = spiffe_id_of(root)
    except WritError:
        return None
    return None if named.segments else named.trust_domain
