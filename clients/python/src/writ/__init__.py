"""An identity for a running program: it enrols, renews, speaks mutual TLS, and refuses whom the authority has stopped."""

from .connecting import connect
from .credential import Credential
from .error import WritError
from .identity import Identity
from .peer_rule import PeerRule
from .spiffe_id import SpiffeId
from .standing import Mode, Refusal
from .tls import PeerRefused
from .verifier import Decision, Verifier, create_verifier
from .workload_api import JwtSvid, fetch_jwt_svid, from_workload_api

__all__ = [
    "Credential",
    "Decision",
    "Identity",
    "JwtSvid",
    "Mode",
    "PeerRefused",
    "PeerRule",
    "Refusal",
    "SpiffeId",
    "Verifier",
    "WritError",
    "connect",
    "create_verifier",
    "fetch_jwt_svid",
    "from_workload_api",
]
