"""Verifies each signature of a chain with `cryptography`. Arguments: files of root, untrusted and leaves, in PEM."""

import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding


def load(path):
    with open(path, "rb") as file:
        return x509.load_pem_x509_certificates(file.read())


def with_altered_signature(certificate):
    der = bytearray(certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return x509.load_der_x509_certificate(bytes(der))


(root,), (intermediate, issuing) = load(sys.argv[1]), load(sys.argv[2])
root.verify_directly_issued_by(root)
intermediate.verify_directly_issued_by(root)
issuing.verify_directly_issued_by(intermediate)
for path in sys.argv[3:]:
    (leaf,) = load(path)
    leaf.verify_directly_issued_by(issuing)
    try:
        with_altered_signature(leaf).verify_directly_issued_by(issuing)
    except InvalidSignature:
        continue
    raise SystemExit("an altered signature was accepted")
print("verified", len(sys.argv) - 3)
