"""The scan: all collectors at once, one deadline, nothing raised.

A collector that hangs is left in its thread and named in the attempts; what it
had found before counts. Threads are daemons, so they never keep the program
from ending; a driver's library may take its own locks while a process is torn
down, so the command line ends with `os._exit`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from probe.collectors import (
    container,
    cpu,
    cuda_driver,
    installed_engines,
    memory,
    nvidia_files,
    nvml,
    operating_system,
    pci,
    power,
    runtimes,
    smbios_memory,
    storage,
    vendor_collectors,
    windows_collectors,
)
from probe.collectors.answers import UnrecordedRequestError
from probe.collectors.facts import Collector, Fact
from probe.collectors.host import Host
from probe.collectors.merge import merge
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.description import Host as Identity
from probe.machine.description import Machine

_T = TypeVar("_T")
_THREAD: Final = "probe: "
# Later ones count more where two know the same figure.
COLLECTORS: Final[tuple[tuple[str, Collector], ...]] = (
    ("operating system", operating_system.collect),
    ("machine id", operating_system.collect_identity),
    ("processor", cpu.collect),
    ("cgroup limits", container.collect_limits),
    ("memory", memory.collect),
    ("Windows", windows_collectors.collect_system),
    ("job limits", windows_collectors.collect_limits),
    ("Windows power", windows_collectors.collect_power),
    ("memory modules", smbios_memory.collect),
    ("NUMA nodes", memory.collect_numa),
    *storage.collectors(),
    ("power", power.collect),
    ("pci bus", pci.collect),
    ("nvidia driver files", nvidia_files.collect),
    ("display adapters", windows_collectors.collect_display),
    ("nvml", nvml.collect),
    ("amd", vendor_collectors.collect_amd),
    ("intel", vendor_collectors.collect_intel),
    ("apple", vendor_collectors.collect_apple),
    ("npu", vendor_collectors.collect_npu),
    ("runtimes", runtimes.collect),
    *installed_engines.collectors(),
)


def scan_machine(
    host: Host,
    *,
    deadline_s: float = 5.0,
    prove_cuda: bool = False,
    collectors: Sequence[tuple[str, Collector]] = COLLECTORS,
) -> Machine:
    """Everything that can be known about the machine within the deadline.

    Args:
        host: the machine to ask, live or replayed.
        deadline_s: all collectors together; those not done by then are abandoned.
        prove_cuda: also start the CUDA driver in a child and make a context on each card.
        collectors: name and function; the name stands in the attempt of one that was abandoned or failed.
    """
    chosen = [*collectors, *([(cuda_driver.SOURCE, cuda_driver.collect)] if prove_cuda else [])]
    runs = [_Run(name, collect, host) for name, collect in chosen]
    for run in runs:
        run.start()
    deadline = time.monotonic() + deadline_s
    for run in runs:
        run.done.wait(max(0.0, deadline - time.monotonic()))
    facts = [fact for run in runs for fact in run.result(deadline_s)]
    merging = _Run("merge", lambda _: iter(()), host)
    machine = merging.guarded(lambda: merge(facts, host.origin))
    if machine is not None:
        return machine
    attempts = tuple(fact for fact in (*facts, *merging.facts) if isinstance(fact, Attempt))
    return Machine(host=Identity(origin=host.origin), attempts=attempts)


class _Run:
    """One collector in its thread, with what it has found so far."""

    def __init__(self, name: str, collect: Collector, host: Host) -> None:
        self.name = name
        self.facts: list[Fact] = []
        self.done = threading.Event()
        self._collect = collect
        self._host = host
        self._unrecorded: UnrecordedRequestError | None = None
        self._thread = threading.Thread(target=self._work, name=f"{_THREAD}{name}", daemon=True)

    def start(self) -> None:
        """Begins; where no thread can be had the collector runs here and now."""
        try:
            self._thread.start()
        except RuntimeError:
            self._work()

    def result(self, deadline_s: float) -> list[Fact]:
        """What it found, and that it was abandoned if it is not done."""
        if self._unrecorded is not None:
            raise self._unrecorded
        facts = list(self.facts)
        if not self.done.is_set():
            # One word on each source: that it began well says less than that it never ended.
            facts = [fact for fact in facts if not (isinstance(fact, Attempt) and fact.source == self.name)]
            facts.append(
                Attempt(
                    source=self.name,
                    result=AttemptResult.TIMEOUT,
                    ms=deadline_s * 1000,
                    detail=f"no answer within {deadline_s:g} s, abandoned",
                    code="abandoned",
                )
            )
        return facts

    def guarded(self, act: Callable[[], _T]) -> _T | None:
        """What `act` returns, or None and an attempt that names the exception."""
        try:
            return act()
        except Exception as error:  # the one guard around collectors: a bug there is data too
            self.facts.append(
                Attempt(
                    source=self.name,
                    result=AttemptResult.FAILED,
                    ms=0.0,
                    detail=f"{type(error).__name__}: {error}",
                    code="collector_failed",
                )
            )
            return None

    def _collect_all(self) -> None:
        for fact in self._collect(self._host):
            self.facts.append(fact)

    def _work(self) -> None:
        try:
            self.guarded(self._collect_all)
        except UnrecordedRequestError as error:
            self._unrecorded = error
        finally:
            self.done.set()
