"""``requests`` with an identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from ..peer_rule import PeerRule
from .contexts import ContextMaker, Generation


class IdentityAdapter(HTTPAdapter):
    """Mutual TLS for ``https://``. With ``allow`` the server is accepted by its SPIFFE ID, without by its host name.

    ``verify`` and ``cert`` of a session mean nothing here: the roots and the certificate are the identity's. After a renewal new
    requests open new connections; those under way end on the old.
    """

    def __init__(self, identity: ContextMaker, *, allow: PeerRule | None = None, **options: Any) -> None:
        self._context = identity.client_context(allow=allow)
        self._generation = Generation(self._context)
        # Asked again by urllib3 otherwise; the context has judged who answers.
        self._by_host_name = None if allow is None else False
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, assert_hostname=self._by_host_name, **options)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Adds no further roots, as the original would."""

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: bool | str, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, True)
        return host, {"ssl_context": self._context, "assert_hostname": self._by_host_name}

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        if self._generation.has_passed():
            self.poolmanager.clear()
        return super().send(request, stream=stream, timeout=timeout, proxies=proxies)


def session(identity: ContextMaker, *, allow: PeerRule | None = None) -> requests.Session:
    """A session that shows this identity over ``https://`` and speaks nothing else; it follows no redirects out of the rule, since
    the rule is asked at each connection."""
    made = requests.Session()
    made.trust_env = False
    made.adapters.clear()
    made.mount("https://", IdentityAdapter(identity, allow=allow))
    return made
