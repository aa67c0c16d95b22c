"""When to renew, and the thread that does it.

Jitter spreads a fleet that was started at one moment, so that its renewals do not come at one moment for ever after.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .credential import BACKDATED_MS, Credential
from .error import WritError

if TYPE_CHECKING:
    from .identity import Identity

_LEAST_MS = 1000.0
_MOST_MS = 60_000.0
#: Waits stand still while a machine sleeps, so a long one is cut into pieces that look at the clock.
_LONGEST_WAIT_MS = 30_000.0


def first_try(credential: Credential, number: float) -> float:
    """When to try first, by the clock of the credential's times, in milliseconds: at two thirds of its life, or up to a tenth of
    the life before that. ``number`` is random, from 0 to below 1."""
    return credential.renew_after - number * (credential.not_after - credential.not_before) / 10


def pause_after(failures: int, left: float, number: float) -> float:
    """Pause after so many failed tries (1 or more), in milliseconds: doubles from a second to a minute, up to half of it random.
    Never past the middle of what is ``left``, so that a short certificate still gets its tries."""
    step = min(_MOST_MS, _LEAST_MS * 2.0 ** min(failures - 1, 16))
    pause = step / 2 + number * step / 2
    return max(_LEAST_MS / 2, min(pause, left / 2))


class Authority(Protocol):
    """Where certificates come from. For one thread at a time."""

    server: str

    def renew(self, current: Credential) -> Credential: ...

    def stop(self, current: Credential, cause: str) -> None: ...


class Renewer:
    """Keeps an identity alive by its authority, from a thread of its own that keeps no process alive."""

    def __init__(
        self,
        authority: Authority,
        *,
        clock: Callable[[], float] = lambda: time.time() * 1000,
        number: Callable[[], float] = random.random,
        save: Callable[[Credential], None] = lambda _: None,
    ) -> None:
        self.server: str | None = authority.server
        self._authority = authority
        self._clock = clock
        self._number = number
        self._save = save
        self._renewing = threading.Lock()
        self._closed = threading.Event()
        #: How far this clock is ahead of the authority's, in ms, as a fresh certificate shows it. By the authority's time alone
        #: no renewal waits for a wrong clock or runs in circles.
        self._ahead = 0.0

    def begin(self, identity: Identity) -> None:
        threading.Thread(target=self._run, args=(identity,), name="writ-renewal", daemon=True).start()

    def renew(self, identity: Identity) -> Credential:
        """Renews now; calls that overlap share one renewal. Raises when it fails, and the identity goes on as before."""
        before = identity.credential
        with self._renewing:
            current = identity.credential
            if current is not before:
                return current
            try:
                renewed = self._authority.renew(current)
            except WritError as error:
                if error.code == "revoked":
                    identity.end(error)
                raise
            self._ahead = self._clock() - (renewed.not_before + BACKDATED_MS)
            identity.replace(renewed)
        try:
            self._save(renewed)
        except (OSError, WritError) as error:
            identity.tell_failed(error)
        return renewed

    def stop(self, identity: Identity, cause: str) -> None:
        self._authority.stop(identity.credential, cause)

    def close(self) -> None:
        self._closed.set()

    def _run(self, identity: Identity) -> None:
        of = identity.credential
        at, failures = first_try(of, self._number()), 0
        while not self._closed.wait(min(_LONGEST_WAIT_MS, max(0.0, at - self._now())) / 1000):
            if identity.is_over:
                return
            if identity.credential is not of:
                # Somebody else has renewed it.
                of = identity.credential
                at, failures = first_try(of, self._number()), 0
            if self._now() < at:
                continue
            try:
                of = self.renew(identity)
                at, failures = first_try(of, self._number()), 0
            except Exception as error:  # whatever it is, a thread that ended would let the identity expire
                left = of.not_after - self._now()
                if left <= 0:
                    identity.end(error)
                if identity.is_over:
                    return
                failures += 1
                at = self._now() + pause_after(failures, left, self._number())
                identity.tell_failed(error)

    def _now(self) -> float:
        return self._clock() - self._ahead
