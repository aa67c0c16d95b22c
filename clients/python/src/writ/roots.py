"""Which roots to trust after the authority has named some."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .certificate import certificate_of


def next_roots(held: Sequence[str], offered: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """The roots to trust after an answer that lists ``offered``, for one who trusts ``held``; PEM throughout.

    The list is whole: a root that is not in it any more is not trusted any more. One that is new to it counts only where a
    root that is held vouches for it by a certificate of its own, which may be among ``others``: whoever got hold of a
    server's key could otherwise send everybody its own root. Where nothing of the list is to be believed, the held ones stay.

    Raises ``bad_pem`` where something is no certificate.
    """
    known = [certificate_of(pem) for pem in held]
    candidates = [certificate_of(pem) for pem in [*offered, *others]]
    now = datetime.now(timezone.utc)
    believed: list[str] = []
    for pem in offered:
        root = certificate_of(pem)
        vouched = _is_signed_by(root, root) and any(
            _vouches(holder, voucher, root) and voucher.not_valid_before_utc <= now <= voucher.not_valid_after_utc
            for voucher in candidates
            for holder in known
        )
        if (root in known or vouched) and pem not in believed:
            believed.append(pem)
    return tuple(believed or held)


def _vouches(holder: x509.Certificate, voucher: x509.Certificate, root: x509.Certificate) -> bool:
    """Whether ``voucher`` is a cross-certificate: signed by ``holder``, of the name and key of ``root``, an authority without
    a limit to what may stand below it, confined to the same names. Writ's intermediate authorities have such a limit, so none
    of them, nor whoever has its key, can make a root of itself.
    """
    try:
        basic = voucher.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = voucher.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return (
        voucher.subject.public_bytes() == root.subject.public_bytes()
        and _key_of(voucher) == _key_of(root)
        and basic.ca
        and basic.path_length is None
        and usage.key_cert_sign
        and _names_of(voucher) == _names_of(root)
        and _is_signed_by(voucher, holder)
    )


def _is_signed_by(certificate: x509.Certificate, holder: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(holder)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _key_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _names_of(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.NameConstraints).value.public_bytes()
    except x509.ExtensionNotFound:
        return None
