"""The one error class. Its codes are those of the server (``docs/errors.md``); callers switch on the code, never on the text."""

from __future__ import annotations


class WritError(Exception):
    """What the caller cannot handle by itself. Neither message nor remedy ever has a secret in it.

    ``code`` is one of ``docs/errors.md``; ``field`` says where the fault is; ``remedy`` what would be right.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None, remedy: str | None = None) -> None:
        super().__init__(message if remedy is None else f"{message} {remedy}")
        self.code = code
        self.message = message
        self.field = field
        self.remedy = remedy
