"""Time limits of tests that hold on a busy computer.

What hangs in a test does so for a minute; whatever else a test waits for may take
half of that. So no limit is near what an idle computer needs, and all are far from
what a hang takes.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from probe.collectors.facts import Collector
from probe.collectors.host import Host
from probe.collectors.run import COLLECTORS, scan_machine
from probe.machine import Machine

HANG_S: Final = 60
BUSY_S: Final = 30.0
_DEADLINES_S: Final = (0.6, 4.0, 25.0)


@contextmanager
def endless_file(path: Path) -> Iterator[None]:
    """A file at `path` that keeps every reader waiting, until the end of this block and no longer."""
    os.mkfifo(path)
    try:
        yield
    finally:
        writer = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # lets those in who wait for a writer
        path.unlink()
        path.touch()  # for those who come later
        os.close(writer)


@contextmanager
def not_held_up(limit_s: float = 0.0) -> Iterator[None]:
    """Fails when what is done here waited for something that hangs; `limit_s`: what it may wait itself."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert took < limit_s + BUSY_S, f"took {took:.1f} s"


def scan_around(
    host: Host,
    hanging: Set[str],
    *,
    collectors: Sequence[tuple[str, Collector]] = COLLECTORS,
    until: Callable[[Machine], bool] = lambda _: True,
) -> Machine:
    """A scan that is ended by its deadline because the collectors in `hanging` are not done, and no others.

    The first deadline is short, so that the tests are. A busy computer that has left
    another collector no time, or has not come to what `until` asks for, gets a longer one.
    """
    machine, late = Machine(), set[str]()
    for deadline_s in _DEADLINES_S if hanging else _DEADLINES_S[-1:]:
        with not_held_up(deadline_s):
            machine = scan_machine(host, deadline_s=deadline_s, collectors=collectors)
        late = {attempt.source for attempt in machine.attempts if attempt.code == "abandoned"}
        if late <= hanging and until(machine):
            break
    assert late <= hanging
    return machine


def wait_until(is_so: Callable[[], bool]) -> bool:
    """Whether it became so before a hang would have ended."""
    end = time.monotonic() + BUSY_S
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
