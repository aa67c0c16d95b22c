"""Hands a key to OpenSSL. Python's ``ssl`` takes keys from files alone: here from one that is memory, or is encrypted."""

from __future__ import annotations

import os
import secrets
import ssl
import tempfile

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from .credential import Credential


def load_credential(context: ssl.SSLContext, credential: Credential) -> None:
    """Has a context show this credential. No key reaches a disk in clear."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        _load_from_memory(context, credential)
    else:
        _load_encrypted(context, credential)


def _load_from_memory(context: ssl.SSLContext, credential: Credential) -> None:
    descriptor = os.memfd_create("writ", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write((credential.key_pem() + credential.chain_pem()).encode("ascii"))
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")


def _load_encrypted(context: ssl.SSLContext, credential: Credential) -> None:
    """By a password that lives as long as the file does: until it is loaded."""
    password = secrets.token_hex(32)
    encryption = BestAvailableEncryption(password.encode("ascii"))
    key = credential.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    with tempfile.TemporaryDirectory(prefix="writ-") as directory:
        path = os.path.join(directory, "credential.pem")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key + credential.chain_pem().encode("ascii"))
        context.load_cert_chain(path, password=password)
