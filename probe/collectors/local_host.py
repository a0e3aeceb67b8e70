"""This machine, asked for real."""

import errno
import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from probe.collectors.answers import (
    DiskFigures,
    Failure,
    MemoryFigures,
    Plain,
    PlatformFacts,
    ProgramOutput,
    RegistryValue,
)
from probe.machine.attempt import AttemptResult
from probe.machine.description import HostOrigin

if TYPE_CHECKING:
    from probe.collectors.nvml_session import NvmlSession

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO)
_DENIED = (errno.EACCES, errno.EPERM)
_CHUNK_BYTES = 1024 * 1024


def failure_of(error: OSError) -> Failure:
    """An operating system error as a Failure, without the path (it may hold a user's name)."""
    code = error.errno or 0
    name = errno.errorcode.get(code, type(error).__name__)
    if code in _ABSENT:
        return Failure(AttemptResult.ABSENT, name)
    if code in _DENIED:
        return Failure(AttemptResult.DENIED, name)
    return Failure(AttemptResult.FAILED, f"{name}: {os.strerror(code) if code else error}")


class LocalHost:
    """The machine we run on. `root` stands before every path: a tree of files in place of `/`.

    `make_id` False: a machine without an id gets none, and nothing is written.
    """

    def __init__(self, root: str = "", *, make_id: bool = True) -> None:
        self._root = root.rstrip("/")
        self._make_id = make_id

    @property
    def origin(self) -> HostOrigin:
        """Always live."""
        return HostOrigin.LIVE

    def clock_s(self) -> float:
        """The monotonic clock."""
        return time.perf_counter()

    def platform(self) -> PlatformFacts:
        """Asked of the interpreter, without starting programs."""
        from probe.collectors.local_platform import platform_facts

        return platform_facts()

    def variable(self, name: str) -> str | None:
        """From the process environment."""
        return os.environ.get(name)

    def read_text(self, path: str, limit_bytes: int = 4 * 1024 * 1024) -> str | Failure:
        """See Host.read_text."""
        raw = self.read_bytes(path, limit_bytes)
        return raw if isinstance(raw, Failure) else raw.decode("utf-8", errors="replace")

    def read_bytes(self, path: str, limit_bytes: int = 4 * 1024 * 1024) -> bytes | Failure:
        """See Host.read_bytes. Opened without blocking, so a FIFO without a writer cannot hold us."""
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        flags |= getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(self._root + path, flags)
        except OSError as error:
            return failure_of(error)
        except ValueError as error:
            return Failure(AttemptResult.FAILED, str(error))
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Failure(AttemptResult.FAILED, "not a regular file")
            parts: list[bytes] = []
            size = 0
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                size += len(chunk)
                if size > limit_bytes:
                    return Failure(AttemptResult.FAILED, f"more than {limit_bytes} bytes")
                parts.append(chunk)
            return b"".join(parts)
        except OSError as error:
            return failure_of(error)
        finally:
            os.close(descriptor)

    def list_directory(self, path: str) -> tuple[str, ...] | Failure:
        """See Host.list_directory."""
        try:
            return tuple(sorted(os.listdir(self._root + path)))  # noqa: PTH208 - the root is a plain prefix
        except OSError as error:
            return failure_of(error)

    def read_link(self, path: str) -> str | Failure:
        """See Host.read_link."""
        try:
            return os.readlink(self._root + path)  # noqa: PTH115 - the text of the link, not a Path
        except OSError as error:
            return failure_of(error)

    def exists(self, path: str) -> bool:
        """See Host.exists."""
        return os.path.exists(self._root + path)  # noqa: PTH110 - the root is a plain prefix

    def run(
        self, arguments: Sequence[str], *, timeout_s: float = 3.0, limit_bytes: int = 1024 * 1024
    ) -> ProgramOutput | Failure:
        """See Host.run."""
        from probe.collectors.local_programs import run_program

        return run_program(arguments, timeout_s=timeout_s, limit_bytes=limit_bytes)

    def find_program(self, name: str) -> str | None:
        """See Host.find_program."""
        from probe.collectors.local_search import find_program

        return find_program(name)

    def packages(self, names: Sequence[str]) -> Mapping[str, str]:
        """See Host.packages."""
        from probe.collectors.local_search import installed_packages

        return installed_packages(names)

    def may_use(self, path: str) -> bool:
        """See Host.may_use."""
        from probe.collectors.local_search import may_use

        return may_use(self._root + path)

    def affinity(self) -> int | Failure:
        """The scheduler's mask where the system has one."""
        if hasattr(os, "sched_getaffinity"):
            try:
                return len(os.sched_getaffinity(0))
            except OSError as error:
                return failure_of(error)
        if sys.platform == "win32":
            if (os.cpu_count() or 0) > 64:
                # A mask holds one group of 64; Windows 11 and Server 2022 let a process use all groups.
                return Failure(AttemptResult.ABSENT, "more processors than a mask holds")
            import psutil

            try:
                return len(psutil.Process().cpu_affinity() or ()) or Failure(AttemptResult.ABSENT, "no mask")
            except (psutil.Error, OSError) as error:
                return Failure(AttemptResult.FAILED, str(error))
        return Failure(AttemptResult.ABSENT, "this system has no affinity mask")

    def memory_figures(self) -> MemoryFigures | Failure:
        """psutil's virtual and swap memory; swap alone may fail (performance counters off on Windows)."""
        import psutil

        try:
            memory = psutil.virtual_memory()
        except (psutil.Error, OSError, RuntimeError, ValueError, KeyError) as error:
            return Failure(AttemptResult.FAILED, f"{type(error).__name__}: {error}")
        swap_total: int | None = None
        swap_free: int | None = None
        try:
            swap = psutil.swap_memory()
            swap_total, swap_free = int(swap.total), int(swap.free)
        except (psutil.Error, OSError, RuntimeError, ValueError, KeyError):
            pass  # performance counters switched off: unknown, not zero
        return MemoryFigures(
            total_bytes=int(memory.total),
            available_bytes=int(memory.available),
            swap_total_bytes=swap_total,
            swap_free_bytes=swap_free,
        )

    def core_counts(self) -> tuple[int | None, int | None] | Failure:
        """psutil's core counts."""
        import psutil

        try:
            return psutil.cpu_count(logical=False), psutil.cpu_count(logical=True)
        except (psutil.Error, OSError, RuntimeError, ValueError) as error:
            return Failure(AttemptResult.FAILED, f"{type(error).__name__}: {error}")

    def disk_figures(self, path: str) -> DiskFigures | Failure:
        """statvfs on POSIX, GetDiskFreeSpaceEx on Windows."""
        try:
            if hasattr(os, "statvfs"):
                figures = os.statvfs(self._root + path)
                return DiskFigures(
                    total_bytes=figures.f_blocks * figures.f_frsize,
                    free_bytes=figures.f_bavail * figures.f_frsize,
                )
            import shutil

            usage = shutil.disk_usage(path)
        except OSError as error:
            return failure_of(error)
        return DiskFigures(total_bytes=usage.total, free_bytes=usage.free)

    def registry_values(self, key: str) -> Mapping[str, RegistryValue] | Failure:
        """See Host.registry_values."""
        from probe.collectors.local_registry import registry_values

        return registry_values(key)

    def registry_keys(self, key: str) -> tuple[str, ...] | Failure:
        """See Host.registry_keys."""
        from probe.collectors.local_registry import registry_keys

        return registry_keys(key)

    def sysctl(self, name: str) -> int | str | Failure:
        """Through libc, so no program is started."""
        if sys.platform == "darwin":
            from probe.collectors.native_calls import sysctl_by_name

            return sysctl_by_name(name)
        return Failure(AttemptResult.ABSENT, "only macOS has these names")

    def native(self, question: str, *arguments: int | str) -> Plain | Failure:
        """See native_calls.py."""
        from probe.collectors.native_calls import answer

        return answer(question, arguments)

    def loopback(self, port: int, path: str, *, timeout_s: float = 0.5) -> bytes | Failure:
        """See Host.loopback."""
        from probe.collectors.local_loopback import get_loopback

        return get_loopback(port, path, timeout_s)

    def nvml(self) -> "NvmlSession | Failure":
        """See nvml_live.py."""
        from probe.collectors.nvml_live import open_nvml

        return open_nvml(self)

    def machine_id(self) -> str | None:
        """See machine_identity.py."""
        from probe.collectors.machine_identity import known_machine_id, machine_id

        return machine_id() if self._make_id else known_machine_id()
