"""What the adapters have in common."""

from __future__ import annotations

from typing import Protocol

from ..peer_rule import PeerRule
from ..tls import IdentityContext, Material


class ContextMaker(Protocol):
    """An ``Identity``, or a ``Verifier``: then servers that have fallen are not spoken to, and connections to them are cut."""

    def client_context(self, *, allow: PeerRule | None = None) -> IdentityContext: ...


class Generation:
    """Tells when kept connections show a certificate that is not the newest any more."""

    def __init__(self, context: IdentityContext) -> None:
        self._context = context
        self._shown: Material = context.material()

    def has_passed(self) -> bool:
        newest = self._context.material()
        passed = newest is not self._shown
        self._shown = newest
        return passed
