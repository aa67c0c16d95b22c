"""An identity for a running program: it enrols, renews, speaks mutual TLS, and refuses whom the authority has stopped."""

from .children import ChildIdentity, Children, children_of
from .connecting import connect
from .credential import Credential
from .error import WritError
from .evidence import Evidence, EvidenceSource, Runtime, certificate_evidence, runtime_claims, token_evidence
from .identity import Identity
from .peer_rule import PeerRule
from .spiffe_id import SpiffeId
from .standing import Mode, Refusal
from .tls import PeerRefused
from .verifier import Decision, Verifier, create_verifier
from .workload_api import JwtSvid, fetch_jwt_svid, from_workload_api, present_runtime

__all__ = [
    "ChildIdentity",
    "Children",
    "Credential",
    "Decision",
    "Evidence",
    "EvidenceSource",
    "Identity",
    "JwtSvid",
    "Mode",
    "PeerRefused",
    "PeerRule",
    "Refusal",
    "Runtime",
    "SpiffeId",
    "Verifier",
    "WritError",
    "certificate_evidence",
    "children_of",
    "connect",
    "create_verifier",
    "fetch_jwt_svid",
    "from_workload_api",
    "present_runtime",
    "runtime_claims",
    "token_evidence",
]
