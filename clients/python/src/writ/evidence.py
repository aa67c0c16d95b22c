"""What a program has that an attestor of the server vouches for, in place of a join token (``docs/ATTESTATION.md``)."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Union

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .error import WritError

#: Asks the server for something fresh to sign: gives the challenge for the attestor of that name.
AskChallenge = Callable[[str], str]


class EvidenceSource(Protocol):
    """Where evidence comes from."""

    def present(self, spki: bytes, ask: AskChallenge) -> Mapping[str, Any]:
        """Evidence for a key (DER of its SubjectPublicKeyInfo), as ``POST /v1/svid`` takes it. Asked for once, at enrolment."""
        ...


@dataclass(frozen=True)
class Evidence:
    """Where to enrol with evidence, and how to know the server there."""

    source: EvidenceSource
    #: ``https://host:port``.
    server: str
    #: PEM of the authority's root: no evidence says which one it is.
    root: str
    #: Name of the agent or service, where registration entries for several match.
    agent: str | None = None


#: What a runtime says of the agent that it runs: ``model_provider``, ``model_version``, ``prompt_sha256``, ``tools_sha256``,
#: ``framework``, ``image_digest``. A function is asked at the enrolment and at each renewal: the authority quarantines an
#: instance whose answer has changed.
Runtime = Union[Mapping[str, str], Callable[[], Mapping[str, str]]]


def runtime_claims(
    *,
    model_provider: str | None = None,
    model_version: str | None = None,
    system_prompt: str | None = None,
    tool_manifest: str | bytes | None = None,
    framework: str | None = None,
) -> dict[str, str]:
    """A ``Runtime`` from the things themselves: prompt and manifest leave as SHA-256 of their octets (UTF-8) alone."""
    claims = {
        "model_provider": model_provider,
        "model_version": model_version,
        "prompt_sha256": None if system_prompt is None else _digest(system_prompt),
        "tools_sha256": None if tool_manifest is None else _digest(tool_manifest),
        "framework": framework,
    }
    return {name: claim for name, claim in claims.items() if claim is not None}


def token_evidence(
    *,
    attestor: str,
    file: str | os.PathLike[str] | None = None,
    token: Callable[[], str] | None = None,
    kind: Literal["oidc", "k8s", "gcp"] = "oidc",
) -> EvidenceSource:
    """A token of somebody whom an attestor believes: in a file, as Kubernetes and CI systems write them, or of what fetches it. Read
    when it is needed.
    """
    if (file is None) == (token is None):
        raise WritError("bad_config", "The token is not given, or given twice.", field="file", remedy="Give one of file and token.")
    return _Token(attestor, None if file is None else Path(file), token, kind)


def certificate_evidence(*, attestor: str, key: str, chain: Sequence[str]) -> EvidenceSource:
    """A certificate of another authority with its key, in PEM; the bearer's certificate first, without the root."""
    return _Certificate(attestor, load_pem_private_key(key.encode("ascii"), password=None), tuple(chain))


def bound_octets(challenge: str, spki: bytes) -> bytes:
    """What a key of the bearer signs so that its proof is good for one challenge and one key. Never changes: it is on the wire."""
    return b"writ attestation 1\0" + challenge.encode("ascii") + b"\0" + hashlib.sha256(spki).digest()


def azure_nonce(challenge: str, spki: bytes) -> str:
    """The nonce that Azure's metadata service is asked with: the first hexadecimal digits of SHA-256 over the same octets."""
    return hashlib.sha256(bound_octets(challenge, spki)).hexdigest()[:32]


def require_token(text: str, field: str) -> str:
    """Three parts (RFC 7515 §7.1), as the server asks for."""
    token = text.strip()
    if re.fullmatch(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", token) is not None:
        return token
    remedy = "Have a JSON web token of three parts there, and nothing else."
    raise WritError("bad_config", "What is to be evidence is no signed token.", field=field, remedy=remedy)


@dataclass(frozen=True)
class _Token:
    attestor: str
    file: Path | None
    fetch: Callable[[], str] | None
    kind: str

    def present(self, spki: bytes, ask: AskChallenge) -> Mapping[str, Any]:
        return {"kind": self.kind, "attestor": self.attestor, "token": self._token()}

    def _token(self) -> str:
        if self.fetch is not None:
            return require_token(self.fetch(), "token")
        assert self.file is not None
        try:
            text = self.file.read_text("ascii")
        except (OSError, ValueError):
            # Not with its cause: that of a token that is no text would repeat a part of it.
            raise WritError(
                "bad_config", "The file with the token cannot be read.", field="file", remedy=f"Check the path: {self.file}"
            ) from None
        return require_token(text, "file")


class _Certificate:
    def __init__(self, attestor: str, key: object, chain: tuple[str, ...]) -> None:
        self._attestor = attestor
        self._key = key
        self._chain = chain

    def present(self, spki: bytes, ask: AskChallenge) -> Mapping[str, Any]:
        challenge = ask(self._attestor)
        signature = _sign(self._key, bound_octets(challenge, spki))
        return {
            "kind": "x509pop",
            "attestor": self._attestor,
            "chain": list(self._chain),
            "challenge": challenge,
            "signature": base64.b64encode(signature).decode("ascii"),
        }


_HASHES: Mapping[str, HashAlgorithm] = {"secp256r1": SHA256(), "secp384r1": SHA384(), "secp521r1": SHA512()}


def _sign(key: object, octets: bytes) -> bytes:
    """As the server verifies it: with the hash of the curve, or RSASSA-PSS with SHA-256."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(octets, padding.PSS(padding.MGF1(SHA256()), 32), SHA256())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(octets)
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _HASHES:
        return key.sign(octets, ec.ECDSA(_HASHES[key.curve.name]))
    raise WritError("bad_config", "The key of the evidence is of a kind that no attestor takes.", field="key")


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
