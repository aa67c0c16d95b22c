"""What an instance holds, and the key that it makes for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from .error import WritError

#: Certificates are valid from this long before their issue, for clocks that are behind (``docs/ISSUANCE.md``).
BACKDATED_MS = 30_000


@dataclass(frozen=True, eq=False)
class Credential:
    """Key and certificate of an instance, what it sends along, and whom it trusts. Shown without the key."""

    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = field(repr=False)
    spiffe_id: str
    #: Lower-case hex.
    serial: str
    #: PEM.
    certificate: str = field(repr=False)
    #: PEM, issuing authority first, without the root.
    chain: tuple[str, ...] = field(repr=False)
    #: PEM of each trusted root.
    roots: tuple[str, ...] = field(repr=False)
    #: Milliseconds since the Unix epoch, by the authority's clock: half a minute before it was issued.
    not_before: float
    not_after: float
    #: When the authority would like to see it renewed: at two thirds of its life.
    renew_after: float

    def key_pem(self) -> str:
        """PKCS #8, in clear: for TLS and for the owner's own file, and for nothing else."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")

    def chain_pem(self) -> str:
        """The certificate and the authorities above it, as TLS sends them."""
        return "".join((self.certificate, *self.chain))


def new_key(root: x509.Certificate) -> ec.EllipticCurvePrivateKey:
    """A fresh key (P-256) for a certificate below this root. It is made here and never leaves.

    Raises ``bad_config`` below a root of another kind than ECDSA, Ed25519 or RSA: TLS of Python has no ML-DSA.
    """
    try:
        kind: object = root.public_key()
    except Exception:  # whatever the library says of a key that it does not know
        kind = None
    if not isinstance(kind, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey, rsa.RSAPublicKey)):
        raise WritError(
            "bad_config",
            "The root has a kind of key that this library cannot work below.",
            remedy="Authorities with ML-DSA need the TypeScript library, or a Workload API of a program that has it.",
        )
    return ec.generate_private_key(ec.SECP256R1())


def csr_for(key: ec.EllipticCurvePrivateKey) -> str:
    """The request for a certificate for such a key, in PEM. It names nobody: who it is for, the authority knows."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    return request.public_bytes(Encoding.PEM).decode("ascii")
