"""An identity as it is kept between runs of a program, in the same form as the TypeScript library keeps it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from .authority import Home
from .credential import Credential
from .error import WritError

_FILE = "identity.json"
#: Permission bits mean nothing there.
_WINDOWS = sys.platform == "win32"


def load_identity(directory: Path) -> tuple[Credential, Home] | None:
    """The identity that lies in a directory; ``None`` when there is none.

    Raises ``unsafe_permissions`` when others can read it or put another in its place, ``bad_config`` when it cannot be
    understood.
    """
    file = directory / _FILE
    try:
        _require_mode(directory, 0o022, "change the directory of the stored identity", "go-w")
        _require_mode(file, 0o077, "read the stored identity", "go=")
        text = file.read_text("utf-8")
    except FileNotFoundError:
        return None
    try:
        return _read(json.loads(text))
    except (ValueError, TypeError, KeyError, WritError):
        # Not with its cause: that might repeat what is in the file.
        raise WritError(
            "bad_config",
            "The stored identity cannot be understood.",
            field="store",
            remedy=f"Move it away and enrol anew: {file}",
        ) from None


def save_identity(directory: Path, credential: Credential, home: Home) -> None:
    """Replaces what lies in a directory, which is made when it is missing. A crash leaves the old identity or the new one."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_mode(directory, 0o022, "change the directory of the stored identity", "go-w")
    new = directory / f"{_FILE}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(_written(credential, home), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, directory / _FILE)
    if not _WINDOWS:
        _sync_directory(directory)


def _written(credential: Credential, home: Home) -> dict[str, Any]:
    return {
        "version": 1,
        "home": {"server": home.server, "roots": list(home.roots)},
        "credential": {
            "key": credential.key_pem(),
            "spiffeId": credential.spiffe_id,
            "serial": credential.serial,
            "certificate": credential.certificate,
            "chain": list(credential.chain),
            "roots": list(credential.roots),
            "notBefore": credential.not_before,
            "notAfter": credential.not_after,
            "renewAfter": credential.renew_after,
        },
    }


def _read(stored: dict[str, Any]) -> tuple[Credential, Home]:
    if stored["version"] != 1:
        raise ValueError("another version")
    home, kept = stored["home"], stored["credential"]
    key = load_pem_private_key(kept["key"].encode("ascii"), password=None)
    if not isinstance(key, (ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise ValueError("another kind of key")
    credential = Credential(
        key=key,
        spiffe_id=kept["spiffeId"],
        serial=kept["serial"],
        certificate=kept["certificate"],
        chain=tuple(kept["chain"]),
        roots=tuple(kept["roots"]),
        not_before=kept["notBefore"],
        not_after=kept["notAfter"],
        renew_after=kept["renewAfter"],
    )
    return credential, Home(home["server"], tuple(home["roots"]))


def _sync_directory(directory: Path) -> None:
    """Without this the new name may be lost with the power, and the old identity come back."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_mode(path: Path, forbidden: int, what: str, mend: str) -> None:
    if _WINDOWS or path.stat().st_mode & forbidden == 0:
        return
    raise WritError(
        "unsafe_permissions",
        f"Others than its owner can {what}.",
        field="store",
        remedy=f"Run: chmod {mend} '{path}'",
    )
