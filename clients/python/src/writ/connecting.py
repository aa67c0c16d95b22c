"""An identity for this running program."""

from __future__ import annotations

import os
import time
from pathlib import Path

from .authority import Authority, Home, enrol, enrol_with_evidence
from .credential import Credential
from .error import WritError
from .evidence import Evidence, Runtime
from .identity import Identity
from .renewal import Renewer
from .store import load_identity, save_identity


def connect(
    *,
    token: str | None = None,
    token_file: str | os.PathLike[str] | None = None,
    store: str | os.PathLike[str] | None = None,
    evidence: Evidence | None = None,
    runtime: Runtime | None = None,
) -> Identity:
    """Enrols with a join token or with evidence, or goes on with what ``store`` holds, and renews from then on. Blocks for one enrolment; in
    ``asyncio`` call it by ``asyncio.to_thread``.

    ``token`` is what ``writ token create`` printed, ``token_file`` a file with it (a secret in a file is in no process list);
    needed once, unless ``store`` still holds a living identity. ``store`` is a directory in which key and certificate are kept,
    for their owner alone, so that a restart goes on with its instance; for one running program at a time. Without it the key is
    in memory only. ``evidence`` is what an attestor of the server vouches for, in place of a token; ``runtime`` what is said of the
    agent itself, at the enrolment and at each renewal.

    Raises ``bad_token``, ``token_refused``, ``evidence_refused``, ``bad_certificate`` (the server is not the one that the token names),
    ``unavailable``, ``unsafe_permissions``, ``bad_config``.
    """
    directory = None if store is None else Path(store)
    kept = None if directory is None else load_identity(directory)
    if kept is not None and not _is_alive(*kept):
        kept = None
    if kept is not None:
        credential, home = kept
    elif evidence is not None:
        credential, home = enrol_with_evidence(evidence, runtime)
    else:
        credential, home = enrol(_token_of(token, token_file), runtime)
    if directory is not None and kept is None:
        save_identity(directory, credential, home)

    def save(renewed: Credential) -> None:
        if directory is not None:
            save_identity(directory, renewed, Home(home.server, renewed.roots))

    renewer = Renewer(Authority(home, credential.spiffe_id, runtime), kept=kept is not None, save=save)
    return Identity(credential, renewer)


def _is_alive(credential: Credential, home: Home) -> bool:
    if credential.not_after <= time.time() * 1000:
        return False
    return not Authority(home, credential.spiffe_id).refuses(credential)


def _token_of(token: str | None, token_file: str | os.PathLike[str] | None) -> str:
    if token:
        return token
    if token_file is not None:
        try:
            return Path(token_file).read_text("utf-8")
        except OSError as cause:
            raise WritError(
                "bad_token",
                "The file with the join token cannot be read.",
                field="token_file",
                remedy=f"Check the path: {os.fspath(token_file)}",
            ) from cause
    raise WritError(
        "bad_token",
        "There is no join token, and no stored identity that is still valid.",
        field="token",
        remedy='Pass the token that "writ token create" prints.',
    )
