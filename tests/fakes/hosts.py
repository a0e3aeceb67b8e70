"""Hosts for tests: this interpreter over a tree of files written on the spot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pynvml

from probe.collectors.answers import DiskFigures, Failure, MemoryFigures, PlatformFacts
from probe.collectors.local_host import LocalHost
from probe.collectors.nvml_session import NvmlSession
from probe.machine.attempt import AttemptResult
from tests.fakes.nvml_library import FakeNvmlLibrary

LINUX = PlatformFacts(
    system="linux",
    architecture="x86_64",
    kernel="6.8.0-90-generic",
    host_name="testbench",
    user_name="user",
    home="/home/user",
    python="3.12.3",
    python_bits=64,
    glibc="2.39",
    logical_cores=8,
)
CPUINFO = "\n".join(
    f"processor\t: {number}\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD Ryzen 7 5700X 8-Core Processor\n"
    f"physical id\t: 0\ncore id\t: {number}\n"
    for number in range(8)
)
MEMINFO = "MemTotal:       131072000 kB\nMemFree:        100000000 kB\nMemAvailable:   120000000 kB\n"


class TreeHost(LocalHost):
    """Real reads under a folder; platform and variables as the test says."""

    def __init__(
        self,
        root: Path,
        files: Mapping[str, str] | None = None,
        *,
        links: Mapping[str, str] | None = None,
        variables: Mapping[str, str] | None = None,
        platform: PlatformFacts = LINUX,
    ) -> None:
        super().__init__(str(root))
        self._facts = platform
        self._variables = dict(variables or {})
        self._disk: DiskFigures | None = None
        for path, text in {"/proc/meminfo": MEMINFO, "/proc/cpuinfo": CPUINFO, **(files or {})}.items():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        for path, target in (links or {}).items():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)

    def platform(self) -> PlatformFacts:
        return self._facts

    def variable(self, name: str) -> str | None:
        return self._variables.get(name)

    def disk_figures(self, path: str) -> DiskFigures | Failure:
        """The file system's own, as first read: other programs write to the same disk meanwhile."""
        figures = super().disk_figures(path)
        if isinstance(figures, Failure):
            return figures
        self._disk = self._disk or figures
        return self._disk

    def affinity(self) -> int:
        return 8

    def find_program(self, name: str) -> str | None:
        """None: what this computer has installed is no part of a test."""
        return None

    def packages(self, names: Sequence[str]) -> Mapping[str, str]:
        return {}

    def loopback(self, port: int, path: str, *, timeout_s: float = 0.5) -> bytes | Failure:
        return Failure(AttemptResult.ABSENT, "nothing listens there")

    def nvml(self) -> NvmlSession | Failure:
        """The library that a test has put in place of this computer's."""
        if not isinstance(pynvml.nvmlLib, FakeNvmlLibrary):
            return Failure(AttemptResult.ABSENT, "libnvidia-ml.so.1 not found", "library_not_found")
        return super().nvml()

    def machine_id(self) -> str | None:
        return "0123456789abcdef"

    def memory_figures(self) -> MemoryFigures:
        return MemoryFigures(total_bytes=8 * 1024**3, available_bytes=6 * 1024**3)


def on(**changes: object) -> PlatformFacts:
    """The usual platform with some facts changed."""
    return msgspec.structs.replace(LINUX, **changes)


def pci_card(
    address: str, *, vendor: str = "10de", device: str = "2684", class_code: str = "030000"
) -> dict[str, str]:
    """Files of one card on the bus."""
    folder = f"/sys/bus/pci/devices/{address}"
    return {
        f"{folder}/class": f"0x{class_code}\n",
        f"{folder}/vendor": f"0x{vendor}\n",
        f"{folder}/device": f"0x{device}\n",
        f"{folder}/numa_node": "-1\n",
        f"{folder}/max_link_speed": "16.0 GT/s PCIe\n",
        f"{folder}/max_link_width": "16\n",
    }
