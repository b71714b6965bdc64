"""The jobs' time: seconds since the epoch that pass as they do, whatever is done to the date.

Deadlines, retries and expiry compare times that were written down with the present one. The wall
clock may be set meanwhile, by an administrator or by NTP after a pause of the machine: then ten
minutes pass in no time, or an hour passes twice. So the wall clock (or the database server's, where
gateways share one) is asked once, and from then on the monotonic clock counts. It runs on over
restarts of the gateway until the machine boots; hence the file, in which the next process finds
where the first one began.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

log = logging.getLogger(__name__)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BOOTS = 16  # that the file remembers: machines that share the folder have one each


class SteadyClock:
    """Call it for the seconds since the epoch.

    Attributes:
        shift: seconds that the wall clock has jumped ahead (or, negative, back) since the anchor,
            as last noticed: to be added to the jobs' times where they are shown.

    Args:
        file: where the anchor is kept; None: this process alone needs it.
        tolerance: seconds of difference from the wall clock that are no jump.
        start: the present time where no earlier process of this boot has left an anchor; None: the
            wall clock's.
        wall: seconds since the epoch, as the machine believes.
        ticks: seconds that only ever pass.
        boot: names the boot since which ``ticks`` counts; empty where that is not known.
    """

    def __init__(
        self,
        file: Path | None = None,
        tolerance: float = 15.0,
        start: float | None = None,
        wall: Callable[[], float] = lambda: time.time(),
        ticks: Callable[[], float] = time.monotonic,
        boot: str | None = None,
    ) -> None:
        self._wall, self._ticks, self._tolerance = wall, ticks, tolerance
        boot = boot_id() if boot is None else boot
        anchors = _read(file) if file and boot else {}
        known = anchors.pop(boot, None)
        begun = wall() if start is None else start
        self._anchor = begun - ticks() if known is None else known
        if known is None and file and boot:
            _write(file, {boot: self._anchor, **anchors})
        self.shift = 0.0
        self.look()

    def __call__(self) -> float:
        """Return the seconds since the epoch."""
        return self._anchor + self._ticks()

    def look(self) -> None:
        """Notice a jump of the wall clock, and say so once."""
        ahead = self._wall() - self()
        jump = ahead - self.shift
        if abs(jump) > self._tolerance:
            self.shift = ahead if abs(ahead) > self._tolerance else 0.0
            log.warning("the clock was set; the jobs go on by their own", extra={"seconds": jump})


def boot_id() -> str:
    """Return the name of the machine's boot and of the clock's namespace, empty if unknown."""
    try:
        boot = BOOT_ID.read_text().strip()
    except OSError:
        return ""
    try:
        return f"{boot}/{os.readlink('/proc/self/ns/time')}"
    except OSError:  # a kernel that has no such namespaces
        return boot


def _read(file: Path) -> dict[str, float]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        anchors = {str(boot): float(anchor) for boot, anchor in content.items()}
        return {boot: anchor for boot, anchor in anchors.items() if math.isfinite(anchor)}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError):
        log.warning("the file of the jobs' clock is unreadable: it begins anew")
        return {}


def _write(file: Path, anchors: Mapping[str, float]) -> None:
    kept = dict(list(anchors.items())[:BOOTS])
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(kept), encoding="utf-8")
        os.replace(part, file)
    except OSError:  # without it a jump is forgiven until the next restart
        log.warning("the jobs' clock could not be written down")
