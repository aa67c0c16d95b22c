"""What a certificate says of who has it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .error import WritError
from .spiffe_id import SpiffeId, parse_spiffe_id

#: RFC 9608 §2: neither list nor responder tells of the certificate.
_NO_REV_AVAIL = x509.ObjectIdentifier("2.5.29.56")
_LONGEST_CHAIN = 8
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PeerFacts:
    """What a decision about a peer needs, read once for a connection."""

    id: SpiffeId
    #: Milliseconds since the Unix epoch.
    not_after: float
    #: What an entry of the feed of its own trust domain can name to stop it.
    subjects: tuple[str, ...]
    #: What one of any trust domain can: the keys of the authorities above it.
    issuers: tuple[str, ...]
    #: Nothing but the feed tells that it was stopped.
    ephemeral: bool

    def seen_from(self, trust_domain: str) -> PeerFacts:
        """As the feed of this trust domain can name it: names and serial numbers of another one are not its own."""
        return self if self.id.trust_domain == trust_domain else replace(self, subjects=self.issuers)


def spiffe_id_of(certificate: x509.Certificate) -> SpiffeId:
    """The one URI name (X.509-SVID §2). Raises ``bad_spiffe_id`` where there is none or more than one."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, ValueError):
        uris = []
    if len(uris) != 1:
        raise WritError(
            "bad_spiffe_id",
            "The certificate does not carry exactly one URI name.",
            remedy="The peer needs an X.509-SVID.",
        )
    return parse_spiffe_id(uris[0])


def facts_of_chain(chain: Sequence[bytes]) -> PeerFacts:
    """Facts of a verified chain (DER, the peer's own first). Raises ``bad_spiffe_id`` where it names nobody."""
    certificates = [x509.load_der_x509_certificate(der) for der in chain[:_LONGEST_CHAIN]]
    leaf = certificates[0]
    if _is_authority(leaf):
        raise WritError("bad_spiffe_id", "The certificate is that of an authority, which nobody may act by.")
    peer = spiffe_id_of(leaf)
    if not peer.segments:
        # X.509-SVID §5.2.
        raise WritError("bad_spiffe_id", "The certificate names a trust domain and no workload.")
    names = [f"serial:{serial_of(leaf)}"]
    match peer.segments:
        case ("operator", name, *_):
            names.append(f"operator:{name}")
        case ("agent" | "service", name, instance, *_):
            names += [f"agent:{name}", f"instance:{instance}"]
    issuers = [issuer for certificate in certificates for issuer in _issuer_of(certificate)]
    # Whoever has stolen the key of an authority names another one, or none, in what he signs.
    issuers += [key for above in certificates[1:] for key in _key_of(above) if key not in issuers]
    ephemeral = any(extension.oid == _NO_REV_AVAIL for extension in leaf.extensions)
    not_after = leaf.not_valid_after_utc.timestamp() * 1000
    return PeerFacts(peer, not_after, (*names, *issuers), tuple(issuers), ephemeral)


def serial_of(certificate: x509.Certificate) -> str:
    """Lower-case hex, whole octets."""
    text = f"{certificate.serial_number:x}"
    return text.zfill(len(text) + len(text) % 2)


def certificate_of(pem: str) -> x509.Certificate:
    """Raises ``bad_pem`` for what is no certificate."""
    try:
        return x509.load_pem_x509_certificate(pem.encode("ascii"))
    except ValueError as cause:
        raise WritError("bad_pem", "What should be a certificate in PEM is none.") from cause


def pem_of(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def split_pem(text: str) -> list[str]:
    """Each certificate of a text that has several."""
    return [f"{pem}\n" for pem in _PEM.findall(text)]


def _is_authority(certificate: x509.Certificate) -> bool:
    """X.509-SVID §5.2 has those refused as a peer's own."""
    for extension in certificate.extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                return True
            case x509.KeyUsage() as usage if usage.key_cert_sign or usage.crl_sign:
                return True
    return False


def _issuer_of(certificate: x509.Certificate) -> list[str]:
    """The key that a certificate is signed with, as an entry of the feed names it."""
    try:
        key = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return []
    return [] if key is None else [f"issuer:{key.hex()}"]


def _key_of(authority: x509.Certificate) -> list[str]:
    """The key of an authority, as an entry of the feed names it."""
    try:
        key = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return []
    return [f"issuer:{key.hex()}"]
