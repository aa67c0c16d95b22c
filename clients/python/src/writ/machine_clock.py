"""The two clocks of a machine."""

from __future__ import annotations

import time
from dataclasses import dataclass
from collections.abc import Callable


@dataclass(frozen=True)
class MachineClock:
    """Milliseconds. The steady one may stand still while the machine sleeps, the other can be set; how old something is, is told
    by whichever has gone further."""

    steady: Callable[[], float] = lambda: time.monotonic() * 1000
    #: Since the Unix epoch.
    wall: Callable[[], float] = lambda: time.time() * 1000
