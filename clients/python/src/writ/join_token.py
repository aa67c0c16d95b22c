"""The one string that lets a newcomer in, as ``writ token create`` prints it. Version 1, never changed::

    writ-join-1-<base64url( root fingerprint (32) ‖ id (16) ‖ secret (20) ‖ host:port ‖ checksum (4) )>
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from .error import WritError

_PREFIX = "writ-join-1-"
_HEAD = 32 + 16 + 20
_ADDRESS = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]):[1-9]\d{0,4}", re.ASCII)


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What of a token concerns the newcomer; the rest is between server and token."""

    #: SHA-256 of the root certificate's DER, 32 octets.
    root_fingerprint: bytes
    #: ``host:port`` of the server; an IPv6 host stands in brackets.
    address: str


def parse_join_token(text: str) -> JoinToken:
    """Parses a token, white space around it aside. Raises ``bad_token``, which never repeats what was given."""
    text = text.strip()
    if not text.startswith(_PREFIX):
        raise _bad("does not begin as one", f'Paste the whole line that "writ token create" printed; it begins with {_PREFIX}')
    encoded = text[len(_PREFIX) :]
    octets = _decode(encoded)
    content, checksum = octets[:-4], octets[-4:]
    if len(content) <= _HEAD or hashlib.sha256(content).digest()[:4] != checksum:
        raise _bad("is cut or mistyped", "Copy it again, the whole line.")
    address = content[_HEAD:].decode("latin-1")
    if _ADDRESS.fullmatch(address) is None:
        raise _bad("names no server", 'Make another with "writ token create".')
    return JoinToken(content[:32], address)


def _decode(encoded: str) -> bytes:
    """Gives nothing for what is not exactly how these octets are written."""
    try:
        octets = base64.urlsafe_b64decode(encoded[:1024] + "=" * (-len(encoded[:1024]) % 4))
    except (binascii.Error, ValueError):
        return b""
    return octets if base64.urlsafe_b64encode(octets).rstrip(b"=").decode() == encoded else b""


def _bad(fault: str, remedy: str) -> WritError:
    return WritError("bad_token", f"The join token {fault}.", field="token", remedy=remedy)
