"""When to renew, and the thread that does it.

Jitter spreads a fleet that was started at one moment, so that its renewals do not come at one moment for ever after.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from .credential import BACKDATED_MS, Credential
from .error import WritError
from .machine_clock import MachineClock

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
    """Keeps an identity alive by its authority, from a thread of its own that keeps no process alive.

    ``kept``: its credential was kept, and may be of a while ago."""

    def __init__(
        self,
        authority: Authority,
        *,
        kept: bool = False,
        clock: MachineClock | None = None,
        number: Callable[[], float] = random.random,
        save: Callable[[Credential], None] = lambda _: None,
    ) -> None:
        self.server: str | None = authority.server
        self._authority = authority
        self._kept = kept
        self._clock = clock or MachineClock()
        self._number = number
        self._save = save
        self._renewing = threading.Lock()
        self._closed = threading.Event()
        #: The authority's time as a certificate showed it last, and what both clocks of this machine said then, in ms.
        self._shown = self._clocks_at(0.0)

    def begin(self, identity: Identity) -> None:
        issued = _issued_at(identity.credential)
        self._shown = self._clocks_at(max(issued, self._clock.wall()) if self._kept else issued)
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
            self._shown = self._clocks_at(_issued_at(renewed))
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
        # By this clock it was not issued yet: nobody knows how much of its life is left.
        unknown = self._kept and self._clock.wall() < of.not_before
        at, failures = self.authority_time() if unknown else first_try(of, self._number()), 0
        while not self._closed.wait(min(_LONGEST_WAIT_MS, max(0.0, at - self.authority_time())) / 1000):
            if identity.is_over:
                return
            if identity.credential is not of:
                # Somebody else has renewed it.
                of = identity.credential
                at, failures = first_try(of, self._number()), 0
            if self.authority_time() < at:
                continue
            try:
                of = self.renew(identity)
                at, failures = first_try(of, self._number()), 0
            except Exception as error:  # whatever it is, a thread that ended would let the identity expire
                left = of.not_after - self.authority_time()
                # A clock that was set ends nothing by itself: the other says so, too, or the authority does.
                shown, passed = self._shown[0], min(self._passed())
                refused = isinstance(error, WritError) and error.code == "not_authenticated"
                if of.not_after <= shown + passed or (left <= 0 and refused):
                    identity.end(error)
                if identity.is_over:
                    return
                failures += 1
                at = self.authority_time() + pause_after(failures, left if left > 0 else math.inf, self._number())
                identity.tell_failed(error)

    def authority_time(self) -> float:
        """The authority's time, as far as it is known: by it alone no renewal waits for a wrong clock, or one that was set back, or
        runs in circles."""
        return self._shown[0] + max(self._passed())

    def _passed(self) -> tuple[float, float]:
        _, wall, steady = self._shown
        return self._clock.wall() - wall, self._clock.steady() - steady

    def _clocks_at(self, at: float) -> tuple[float, float, float]:
        return at, self._clock.wall(), self._clock.steady()


def _issued_at(credential: Credential) -> float:
    """By the authority's clock."""
    return credential.not_before + BACKDATED_MS
