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
from .evidence import Evidence, Runtime
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


def enrol(token_text: str, runtime: Runtime | None = None) -> tuple[Credential, Home]:
    """Enrols a new instance by a join token: fetches the root and compares it with the fingerprint in the token before anything secret is sent,
    makes a key, then sends token and request.

    Raises ``bad_token``, ``token_refused``, ``bad_certificate`` (the server is not the one that the token names) or
    ``unavailable``.
    """
    token = parse_join_token(token_text)
    server = f"https://{token.address}"
    root = fetch_pinned_root(token)
    key = new_key(certificate_of(root))
    client = HttpsClient(server, unknown_server_context(root))
    if runtime is None:
        answer = client.json("POST", "/v1/enrol", {"token": token_text.strip(), "csr": csr_for(key)})
    else:
        evidence = {"kind": "join-token", "token": token_text.strip()}
        body = {"csr": csr_for(key), "evidence": evidence, "runtime": dict(claims_of(runtime))}
        answer = client.json("POST", "/v1/svid", body)
    return _let_in(answer, key, server, root)


def enrol_with_evidence(given: Evidence, runtime: Runtime | None = None) -> tuple[Credential, Home]:
    """Enrols a new instance by evidence, which goes to a server of the given root and to nobody else.

    Raises ``evidence_refused``, ``bad_certificate`` (another server), ``bad_config`` or ``unavailable``.
    """
    key = new_key(certificate_of(given.root))
    client = HttpsClient(given.server, unknown_server_context(given.root))

    def ask(attestor: str) -> str:
        challenge: str = client.json("POST", "/v1/attestation/challenges", {"attestor": attestor})["challenge"]
        return challenge

    body: dict[str, Any] = {"csr": csr_for(key), "evidence": dict(given.source.present(_octets(key.public_key()), ask))}
    if given.agent is not None:
        body["agent"] = given.agent
    if runtime is not None:
        body["runtime"] = dict(claims_of(runtime))
    return _let_in(client.json("POST", "/v1/svid", body), key, given.server, given.root)


def claims_of(runtime: Runtime) -> Mapping[str, str]:
    """What a runtime says now."""
    return runtime() if callable(runtime) else runtime


def _let_in(
    answer: Mapping[str, Any], key: ec.EllipticCurvePrivateKey, server: str, root: str
) -> tuple[Credential, Home]:
    credential = to_credential(answer, key, (root,))
    # The one that it was known by stays, whatever the answer says.
    if root not in credential.roots:
        credential = replace(credential, roots=(root, *credential.roots))
    return credential, Home(server, credential.roots)


class Authority:
    """The authority of one instance, spoken to with the instance's own certificate. For one thread at a time."""

    def __init__(self, home: Home, spiffe_id: str, runtime: Runtime | None = None) -> None:
        self.server = home.server
        self._runtime = runtime
        self._spiffe_id = parse_spiffe_id(spiffe_id)

    def renew(self, current: Credential) -> Credential:
        """A new certificate for the holder of ``current``, for a new key; with what the runtime says now, where it says something."""
        key = new_key(certificate_of(current.roots[0]))
        body: dict[str, Any] = {"csr": csr_for(key)}
        if self._runtime is not None:
            body["runtime"] = dict(claims_of(self._runtime))
        answer = self._client(current).json("POST", "/v1/certificates/renew", body)
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
