"""The messages of the SPIFFE Workload API that are used here (``proto/spiffe/workload/workload.proto``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_der_private_key

from .certificate import pem_of, serial_of, spiffe_id_of
from .credential import Credential
from .protobuf import read_fields, write_field


@dataclass(frozen=True)
class X509Svid:
    """One identity of the caller as the Workload API gives it; DER throughout."""

    spiffe_id: str
    #: The certificate and the authorities above it, one behind the other.
    certificates: bytes = field(repr=False)
    key: bytes = field(repr=False)
    #: The roots of its trust domain, one behind the other.
    bundle: bytes = field(repr=False)
    hint: str


@dataclass(frozen=True)
class JwtSvid:
    """A token for an audience. Shown without the token, which is a secret."""

    spiffe_id: str
    token: str = field(repr=False)
    hint: str


def parse_x509_svids(message: bytes) -> list[X509Svid]:
    """``X509SVIDResponse``, of which the first identity is the default. Raises ``ValueError``."""
    svids = []
    for number, value in read_fields(message):
        if number == 1:
            fields = dict(read_fields(value))
            svids.append(
                X509Svid(_text(fields, 1), fields.get(2, b""), fields.get(3, b""), fields.get(4, b""), _text(fields, 5))
            )
    return svids


def jwt_request(audience: Sequence[str], spiffe_id: str | None) -> bytes:
    """``JWTSVIDRequest``."""
    fields = [write_field(1, one.encode()) for one in audience]
    return b"".join([*fields, write_field(2, (spiffe_id or "").encode())])


def runtime_request(claims: Mapping[str, str]) -> bytes:
    """``PresentRuntimeRequest`` (``proto/writ/workload/v1/runtime.proto``). Raises ``ValueError`` for a claim that it has not."""
    said = b"".join(write_field(_CLAIMS.index(name) + 1, claim.encode()) for name, claim in sorted(claims.items()))
    return write_field(1, said)


#: In the order of their numbers.
_CLAIMS = ("model_provider", "model_version", "prompt_sha256", "tools_sha256", "framework", "image_digest")


def parse_jwt_svids(message: bytes) -> list[JwtSvid]:
    """``JWTSVIDResponse``. Raises ``ValueError``."""
    found = [dict(read_fields(value)) for number, value in read_fields(message) if number == 1]
    return [JwtSvid(_text(fields, 1), _text(fields, 2), _text(fields, 3)) for fields in found]


def credential_of(svid: X509Svid) -> Credential:
    """Raises ``ValueError`` where the parts do not belong together."""
    leaf, *chain = _certificates(svid.certificates)
    roots = _certificates(svid.bundle)
    key = load_der_private_key(svid.key, password=None)
    if not isinstance(key, (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise ValueError("a kind of key that this library does not know")
    if leaf.public_key() != key.public_key():
        raise ValueError("a certificate for another key")
    if spiffe_id_of(leaf).uri != svid.spiffe_id:
        raise ValueError("a certificate for another id")
    return Credential(
        key=key,
        spiffe_id=svid.spiffe_id,
        serial=serial_of(leaf),
        certificate=pem_of(leaf),
        chain=tuple(pem_of(one) for one in chain),
        roots=tuple(pem_of(one) for one in roots),
        not_before=leaf.not_valid_before_utc.timestamp() * 1000,
        not_after=leaf.not_valid_after_utc.timestamp() * 1000,
        # Whoever serves the Workload API renews.
        renew_after=leaf.not_valid_after_utc.timestamp() * 1000,
    )


def _certificates(octets: bytes) -> list[x509.Certificate]:
    found, at = [], 0
    while at < len(octets):
        end = at + _element_length(octets[at : at + 6])
        if end > len(octets):
            raise ValueError("a certificate that is cut")
        found.append(x509.load_der_x509_certificate(octets[at:end]))
        at = end
    if not found:
        raise ValueError("no certificate")
    return found


def _element_length(head: bytes) -> int:
    """Octets of the DER element that begins with these."""
    if len(head) < 2 or head[0] != 0x30:
        raise ValueError("octets that are no certificate")
    if head[1] < 0x80:
        return 2 + head[1]
    count = head[1] & 0x7F
    if not 1 <= count <= 4:
        raise ValueError("octets that are no certificate")
    return 2 + count + int.from_bytes(head[2 : 2 + count], "big")


def _text(fields: dict[int, bytes], number: int) -> str:
    return fields.get(number, b"").decode("utf-8")
