"""What the platform that a program runs on vouches for (``docs/ATTESTATION.md``): GitHub Actions, AWS, Google Cloud, Azure."""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from .error import WritError
from .evidence import AskChallenge, EvidenceSource, azure_nonce, require_token

#: Where all three clouds have their metadata services.
METADATA = "http://169.254.169.254"

_TIMEOUT = 5.0
_LARGEST = 65_536


def github_actions_evidence(*, attestor: str, audience: str) -> EvidenceSource:
    """A job of GitHub Actions with ``id-token: write``: a token for the audience, from where the job's environment says."""
    return _GithubActions(attestor, audience)


def aws_evidence(*, attestor: str, metadata: str = METADATA) -> EvidenceSource:
    """A machine of AWS: its instance identity document, by IMDSv2. Good once for each machine: give ``connect`` a ``store``."""
    return _Aws(attestor, metadata)


def gcp_evidence(
    *, attestor: str, audience: str, kind: Literal["gcp", "oidc"] = "gcp", metadata: str = METADATA
) -> EvidenceSource:
    """An identity token of Google's metadata server. ``kind="oidc"``: where there is a service account and no machine."""
    return _Gcp(attestor, audience, kind, metadata)


def azure_evidence(*, attestor: str, metadata: str = METADATA) -> EvidenceSource:
    """A machine of Azure: an attested document for the server's challenge and this key."""
    return _Azure(attestor, metadata)


@dataclass(frozen=True)
class _GithubActions:
    attestor: str
    audience: str

    def present(self, spki: bytes, ask: AskChallenge) -> Mapping[str, Any]:
        url, bearer = os.environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"), os.environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
        place = urlsplit(url or "")
        # The bearer's token is a secret; the runner itself may well be where it listens.
        own = re.fullmatch(r"127\.\d+\.\d+\.\d+|::1|localhost", place.hostname or "") is not None
        if url is None or bearer is None or not place.hostname or not (place.scheme == "https" or own):
            raise WritError(
                "bad_config",
                "This is no job of GitHub Actions that may ask for a token.",
                field="ACTIONS_ID_TOKEN_REQUEST_URL",
                remedy='Give the job "permissions: id-token: write" in its workflow.',
            )
        query = urlencode([*parse_qsl(place.query), ("audience", self.audience)])
        headers = {"Authorization": f"Bearer {bearer}", "Accept": "application/json; api-version=2.0"}
        text = _ask(place._replace(query=query).geturl(), headers, whom="issuer of GitHub Actions")
        return {"kind": "oidc", "attestor": self.attestor, "token": require_token(_member(text, "value"), "token")}


@dataclass(frozen=True)
class _Aws:
    attestor: str
    metadata: str

    def present(self, spki: bytes, ask: AskChallenge) -> Mapping[str, Any]:
        whom = "metadata service of AWS"
        asked = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        session = _ask(f"{self.metadata}/latest/api/token", asked, method="PUT", whom=whom)
        asked = {"X-aws-ec2-metadata-token": session.strip()}
        document = _ask(f"{self.metadata}/latest/dynamic/instance-identity/rsa2048", asked, whom=whom)
        return {"kind": "aws", "attestor": self.attestor, "document": "".join(document.split())}


@dataclass(frozen=True)
class _Gcp:
    attestor: str
    audience: str
    kind: str
    metadata: str

    def present(self, spki: bytes, ask: AskChallenge) -> Mapping[str, Any]:
        query = urlencode({"audience": self.audience, "format": "full"})
        url = f"{self.metadata}/computeMetadata/v1/instance/service-accounts/default/identity?{query}"
        mark = ("Metadata-Flavor", "Google")
        token = _ask(url, dict([mark]), answers=mark, whom="metadata server of Google Cloud")
        return {"kind": self.kind, "attestor": self.attestor, "token": require_token(token, "token")}


@dataclass(frozen=True)
class _Azure:
    attestor: str
    metadata: str

    def present(self, spki: bytes, ask: AskChallenge) -> Mapping[str, Any]:
        challenge = ask(self.attestor)
        query = urlencode({"api-version": "2021-12-13", "nonce": azure_nonce(challenge, spki)})
        url = f"{self.metadata}/metadata/attested/document?{query}"
        document = _member(_ask(url, {"Metadata": "true"}, whom="metadata service of Azure"), "signature")
        return {"kind": "azure", "attestor": self.attestor, "challenge": challenge, "document": document}


def _ask(
    url: str,
    headers: Mapping[str, str],
    *,
    whom: str,
    method: Literal["GET", "PUT"] = "GET",
    answers: tuple[str, str] | None = None,
) -> str:
    """One question, asked directly whatever proxies there are; no redirect is followed, and everything about it is bounded."""
    place = urlsplit(url)
    make = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    connection = make(place.hostname or "", place.port, timeout=_TIMEOUT)
    try:
        connection.request(method, place._replace(scheme="", netloc="").geturl(), headers=dict(headers))
        with connection.getresponse() as response:
            text = response.read(_LARGEST + 1)
            wrong = answers is not None and response.headers.get(answers[0]) != answers[1]
            if response.status != 200 or wrong or len(text) > _LARGEST:
                raise _no_answer(whom, f"status {response.status}" if response.status != 200 else "a strange answer")
            return text.decode("ascii")
    except (OSError, http.client.HTTPException, ValueError) as cause:
        raise _no_answer(whom, type(cause).__name__) from cause
    finally:
        connection.close()


def _member(text: str, name: str) -> str:
    try:
        value = json.loads(text)[name]
    except (ValueError, TypeError, KeyError):
        value = None
    if isinstance(value, str) and value != "":
        return value
    raise _no_answer("platform", f'no "{name}"')


def _no_answer(whom: str, how: str) -> WritError:
    return WritError(
        "unavailable",
        f"The {whom} did not answer as it should: {how}.",
        field="metadata",
        remedy="Check that this runs there, and that programs may ask it.",
    )
