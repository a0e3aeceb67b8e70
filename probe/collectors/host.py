"""The one seam between collectors and the outside world.

Whatever a collector wants to know it asks a Host. LocalHost asks this machine,
RecordedHost replays a folder under tests/machines, RecordingHost asks another
Host and writes such a folder, redacted. Every method answers with a value or
a Failure, never with an exception. A method may take long (a dead network
disk, a hung driver): collectors run in threads that are abandoned at the
deadline, so ask what may hang last.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from probe.collectors.answers import (
    DiskFigures,
    Failure,
    MemoryFigures,
    Plain,
    PlatformFacts,
    ProgramOutput,
    RegistryValue,
)
from probe.collectors.local_host import LocalHost
from probe.collectors.nvml_session import NvmlSession
from probe.machine.description import HostOrigin

if TYPE_CHECKING:
    from probe.collectors.recorded_host import RecordedHost
    from probe.collectors.recording_host import RecordingHost

__all__ = ["Host", "LocalHost", "RecordedHost", "RecordingHost"]

FILE_LIMIT_BYTES = 4 * 1024 * 1024
OUTPUT_LIMIT_BYTES = 1024 * 1024


class Host(Protocol):
    """Every contact with the outside. Paths are absolute and written as the system writes them."""

    @property
    def origin(self) -> HostOrigin:
        """Whether answers are live or replayed."""

    def clock_s(self) -> float:
        """Seconds of a clock that only moves forward; stands still in a replay."""

    def platform(self) -> PlatformFacts:
        """System, architecture, kernel, names: what the interpreter knows."""

    def variable(self, name: str) -> str | None:
        """One environment variable, None when it is not set."""

    def read_text(self, path: str, limit_bytes: int = FILE_LIMIT_BYTES) -> str | Failure:
        """A regular file as text (UTF-8, bad bytes replaced); FIFOs and devices are refused."""

    def read_bytes(self, path: str, limit_bytes: int = FILE_LIMIT_BYTES) -> bytes | Failure:
        """A regular file as bytes."""

    def list_directory(self, path: str) -> tuple[str, ...] | Failure:
        """Names in a folder, sorted."""

    def read_link(self, path: str) -> str | Failure:
        """Where a symbolic link points, as written in it."""

    def exists(self, path: str) -> bool:
        """Whether anything stands at this path that we may look at."""

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout_s: float = 3.0,
        limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> ProgramOutput | Failure:
        """What a program prints, with stdin closed; killed with its children at the time or size limit.

        `arguments[0]` may be PYTHON for our own interpreter.
        """

    def find_program(self, name: str) -> str | None:
        """The file that PATH gives for a program's name, links followed; nothing is started."""

    def packages(self, names: Sequence[str]) -> Mapping[str, str]:
        """Versions of those of the named Python packages that our own environment has."""

    def may_use(self, path: str) -> bool:
        """Whether this user may read and write a device node; it is not opened."""

    def affinity(self) -> int | Failure:
        """How many logical processors this process may run on."""

    def memory_figures(self) -> MemoryFigures | Failure:
        """RAM and swap as psutil counts them; knows nothing of cgroups."""

    def core_counts(self) -> tuple[int | None, int | None] | Failure:
        """Physical and logical cores as psutil counts them."""

    def disk_figures(self, path: str) -> DiskFigures | Failure:
        """Size and free space of the file system that holds this folder."""

    def registry_values(self, key: str) -> Mapping[str, RegistryValue] | Failure:
        r"""All values of a Windows registry key, e.g. `HKLM\HARDWARE\DESCRIPTION\System\BIOS`."""

    def registry_keys(self, key: str) -> tuple[str, ...] | Failure:
        """Names of the keys under a Windows registry key."""

    def sysctl(self, name: str) -> int | str | Failure:
        """One macOS sysctl value."""

    def native(self, question: str, *arguments: int | str) -> Plain | Failure:
        """A call into a system library, by the name of its row in native_calls.py."""

    def loopback(self, port: int, path: str, *, timeout_s: float = 0.5) -> bytes | Failure:
        """The body of an HTTP GET to a server on 127.0.0.1."""

    def nvml(self) -> NvmlSession | Failure:
        """NVIDIA's management library, initialised; a Failure carries the init error's code."""

    def machine_id(self) -> str | None:
        """The random id of this machine, made once; None where it cannot be kept."""


def __getattr__(name: str) -> object:
    """RecordedHost and RecordingHost, imported when first named: a live scan should not pay for them."""
    if name == "RecordedHost":
        from probe.collectors.recorded_host import RecordedHost

        return RecordedHost
    if name == "RecordingHost":
        from probe.collectors.recording_host import RecordingHost

        return RecordingHost
    raise AttributeError(name)
