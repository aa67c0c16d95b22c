"""The authority as an instance speaks to it: enrolment, renewal, the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .certificate import certificate_of, spiffe_id_of
from .credential import Credential, csr_for, new_key
from .error import WritError
from .http_client import HttpsClient
from .join_token import parse_join_token
from .pinned_root import fetch_pinned_root
from .roots import next_roots
from .spiffe_id import parse_spiffe_id
from .tls import Material
from .writ_server import server_context, unknown_server_context

#: How long a restart waits to hear what its stored identity is worth; seconds.
_STANDING = 3.0


@dataclass(frozen=True)
class Home:
    """Where an enrolled instance finds its authority again."""

    #: ``https://host:port``.
    server: str
    #: PEM.
    roots: tuple[str, ...]


def enrol(token_text: str) -> tuple[Credential, Home]:
    """Enrols a new instance: fetches the root and compares it with the fingerprint in the token before anything secret is sent,
    makes a key, then sends token and request.

    Raises ``bad_token``, ``token_refused``, ``bad_certificate`` (the server is not the one that the token names) or
    ``unavailable``.
    """
    token = parse_join_token(token_text)
    server = f"https://{token.address}"
    root = fetch_pinned_root(token)
    key = new_key(certificate_of(root))
    client = HttpsClient(server, unknown_server_context(root))
    answer = client.json("POST", "/v1/enrol", {"token": token_text.strip(), "csr": csr_for(key)})
    credential = to_credential(answer, key, (root,))
    # The one that the token pins stays, whatever the answer says.
    if root not in credential.roots:
        credential = replace(credential, roots=(root, *credential.roots))
    return credential, Home(server, credential.roots)


class Authority:
    """The authority of one instance, spoken to with the instance's own certificate. For one thread at a time."""

    def __init__(self, home: Home, spiffe_id: str) -> None:
        self.server = home.server
        self._spiffe_id = parse_spiffe_id(spiffe_id)

    def renew(self, current: Credential) -> Credential:
        """A new certificate for the holder of ``current``, for a new key."""
        key = new_key(certificate_of(current.roots[0]))
        answer = self._client(current).json("POST", "/v1/certificates/renew", {"csr": csr_for(key)})
        renewed = to_credential(answer, key, current.roots)
        if renewed.spiffe_id != current.spiffe_id:
            raise _broken("for somebody else")
        return renewed

    def stop(self, current: Credential, cause: str) -> None:
        """Burns the instance that holds ``current`` and revokes its certificates."""
        self._client(current).send("POST", f"/v1/instances/{self._spiffe_id.segments[-1]}/stop", {"cause": cause})

    def refuses(self, current: Credential) -> bool:
        """Whether it refuses a credential that has not expired: it was revoked while nobody looked. ``False`` when it cannot be
        asked, since a restart must not need it."""
        try:
            self._client(current, timeout=_STANDING, attempts=1).send("GET", "/v1/whoami")
        except WritError as error:
            return error.code in ("revoked", "not_authenticated")
        return False

    def _client(self, current: Credential, **options: Any) -> HttpsClient:
        material = Material(current.roots, current)
        return HttpsClient(self.server, server_context(self._spiffe_id.trust_domain, lambda: material), **options)


def to_credential(answer: Mapping[str, Any], key: ec.EllipticCurvePrivateKey, held: tuple[str, ...]) -> Credential:
    """Checks that an answer is for the key that was made here and says what the certificate says."""
    certificate = certificate_of(answer["certificate"])
    if _octets(certificate.public_key()) != _octets(key.public_key()):
        raise _broken("for another key")
    if spiffe_id_of(certificate).uri != answer["spiffe_id"]:
        raise _broken("for another id")
    try:
        roots = next_roots(held, answer.get("bundle", []), answer["chain"])
    except WritError as cause:
        raise _broken("and roots that are none") from cause
    return Credential(
        key=key,
        spiffe_id=answer["spiffe_id"],
        serial=answer["serial"],
        certificate=answer["certificate"],
        chain=tuple(answer["chain"]),
        roots=roots,
        not_before=_milliseconds(answer["not_before"]),
        not_after=_milliseconds(answer["not_after"]),
        renew_after=_milliseconds(answer["renew_after"]),
    )


def _octets(key: Any) -> bytes:
    octets: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return octets


def _milliseconds(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def _broken(how: str) -> WritError:
    return WritError(
        "bad_certificate",
        f"The server answered with a certificate {how}.",
        remedy="Report this: the server is broken.",
    )
