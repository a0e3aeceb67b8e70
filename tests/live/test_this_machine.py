"""The very machine the tests run on, compared with the system's own tools."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from probe.collectors.local_host import LocalHost
from probe.collectors.run import scan_machine
from probe.machine import AttemptResult, HostOrigin, Machine, OsFamily

pytestmark = pytest.mark.live
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def machine() -> Machine:
    return scan_machine(LocalHost(), deadline_s=30)


def test_system(machine: Machine) -> None:
    family = {"linux": OsFamily.LINUX, "win32": OsFamily.WINDOWS, "darwin": OsFamily.MACOS}[sys.platform]
    assert (machine.host.os.family, machine.host.origin) == (family, HostOrigin.LIVE)
    assert machine.host.python == ".".join(map(str, sys.version_info[:3]))
    assert machine.host.os.kernel


def test_processor(machine: Machine) -> None:
    assert machine.cpu.brand
    assert machine.cpu.logical_cores == psutil.cpu_count(logical=True)
    assert 1 <= (machine.cpu.usable_cores or 0) <= (machine.cpu.logical_cores or 0)
    if hasattr(os, "sched_getaffinity"):
        assert (machine.cpu.usable_cores or 0) <= len(os.sched_getaffinity(0))


def test_memory(machine: Machine) -> None:
    total = psutil.virtual_memory().total
    assert machine.memory.total_bytes == pytest.approx(total, rel=0.001)
    assert 0 < (machine.memory.available_bytes or 0) <= total


def test_disks(machine: Machine) -> None:
    home = next(disk for disk in machine.disks if disk.purpose == "home")
    assert home.total_bytes == pytest.approx(shutil.disk_usage(home.path).total, rel=0.01)


def test_every_source_was_asked(machine: Machine) -> None:
    results = {attempt.source: attempt for attempt in machine.attempts}
    assert "nvml" in results
    assert all(attempt.result is not AttemptResult.TIMEOUT for attempt in machine.attempts)
    assert not [attempt for attempt in machine.attempts if attempt.code == "collector_failed"]
    assert all(attempt.ms >= 0 for attempt in machine.attempts)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity masks")
def test_affinity_bounds_the_cores() -> None:
    """`taskset -c 0` leaves one core, and so does the scan."""
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from probe.collectors.local_host import LocalHost; from probe.collectors.run import scan_machine;"
        "print(scan_machine(LocalHost(), deadline_s=30).cpu.usable_cores)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    assert done.stdout.strip() == "1"


def test_cpu_time_of_the_scan_itself() -> None:
    """The scan must stay a small part of a run: far below the second that a library asking CPUID takes."""

    def seconds() -> float:
        before = time.process_time()
        scan_machine(LocalHost())
        return time.process_time() - before

    assert min(seconds() for _ in range(5)) < 0.5  # 0.01 on an idle computer


def test_heavy_modules_are_not_loaded_without_need() -> None:
    """Where the system's own tables answer, nothing heavier is imported."""
    program = (
        "import sys; import msgspec, zlib; given = set(sys.modules);"
        "from probe.collectors.local_host import LocalHost;"
        "from probe.collectors.run import scan_machine; m = scan_machine(LocalHost(), deadline_s=30);"
        "engines = {'subprocess', 'json'} if m.software.engines else set();"  # asked for their versions
        "found = {'psutil', 'cpuinfo', 'subprocess', 'json', 'rich'} & (set(sys.modules) - given) - engines;"
        "absent = any(a.source == 'nvml' and a.result.value == 'absent' for a in m.attempts);"
        "print(sorted(found | ({'pynvml'} & set(sys.modules) if absent else set())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    if sys.platform.startswith("linux"):
        assert done.stdout.strip() == "[]"


@pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="needs NVIDIA's own tool")
def test_cards_equal_nvidia_smi(machine: Machine) -> None:
    query = "name,memory.total,driver_version,pci.bus_id,compute_cap,power.limit"
    done = subprocess.run(
        ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    if done.returncode:
        pytest.skip("nvidia-smi does not answer here")
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines()]
    cards = [card for card in machine.accelerators if card.vendor == "nvidia"]
    assert [card.name for card in cards] == [row[0] for row in rows]
    for card, row in zip(cards, rows, strict=True):
        if row[1].isdigit():
            assert (card.memory_total_bytes or 0) // 1024**2 == int(row[1])
        assert card.driver_version == row[2]
        assert card.pci_address is None or row[3].lower().endswith(card.pci_address)
        assert card.compute_capability == row[4]
