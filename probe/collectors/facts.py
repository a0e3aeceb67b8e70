"""What collectors hand over: attempts and found parts, one by one.

A collector is a generator. It yields what it knows as soon as it knows it, so
that being abandoned at the deadline costs only what comes after.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias, TypeVar

import msgspec

from probe.collectors.answers import Failure
from probe.collectors.host import Host
from probe.machine.accelerator import Accelerator
from probe.machine.attempt import Attempt, AttemptResult
from probe.machine.description import Host as Identity
from probe.machine.description import Link, NvidiaDriver, OperatingSystem
from probe.machine.software import Software
from probe.machine.system import Cpu, Disk, Memory, Power

_T = TypeVar("_T")
_ABSURD_BYTES: Final = 1 << 50  # a thousand times the memory of the largest servers


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The narrowest control group limits over the whole ancestry; headroom = limit minus what is in use."""

    memory_limit_bytes: int | None = None
    memory_headroom_bytes: int | None = None
    quota_cores: float | None = None


class PciDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A display, 3D, co-processor or accelerator device on the bus. Ids are hexadecimal without 0x."""

    address: str  # 0000:01:00.0
    vendor: str  # 10de
    device: str  # 2684
    subsystem: str | None = None  # 10de:167c
    class_code: str  # 030000
    driver: str | None = None  # kernel driver bound to it
    numa_node: int | None = None
    boot_display: bool | None = None
    in_processor: bool = False  # shares its place on the bus with the processor's own parts
    max_link_generation: int | None = None
    max_link_width: int | None = None


class NvidiaFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What the NVIDIA kernel module and the files around it say, NVML or not."""

    kernel_module_version: str | None = None
    library_version: str | None = None
    device_nodes: tuple[str, ...] = ()  # nvidia0, nvidiactl, dxg ...
    models: Mapping[str, str] = {}  # PCI address -> product name by the kernel module
    is_tegra: bool = False
    board: str | None = None  # device tree model


class VisibleDevices(msgspec.Struct, frozen=True, kw_only=True):
    """Environment masks that decide which cards a CUDA program sees; None = not set."""

    cuda: str | None = None
    order: str | None = None  # CUDA_DEVICE_ORDER
    container: str | None = None  # NVIDIA_VISIBLE_DEVICES


class CudaIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """By what a mask may name a device, and what decides its place in CUDA's own order (fastest first)."""

    index: int  # NVML's
    uuid: str | None = None
    slice_uuids: tuple[str, ...] = ()
    speed: float | None = None  # cores times clock, comparable within one machine


class CudaProofDevice(msgspec.Struct, frozen=True, kw_only=True):
    """One device as the CUDA driver itself sees it; free memory is what a fresh context finds."""

    name: str | None = None
    pci_address: str | None = None
    total_bytes: int | None = None
    free_bytes: int | None = None
    integrated: bool | None = None
    compute_capability: str | None = None
    error_code: str | None = None


class CudaProof(msgspec.Struct, frozen=True, kw_only=True):
    """What cuInit and a context on each device came to."""

    error_code: str | None = None
    error_detail: str | None = None
    cuda_version: int | None = None
    devices: tuple[CudaProofDevice, ...] = ()


Part: TypeAlias = (
    Identity
    | OperatingSystem
    | Cpu
    | Memory
    | Disk
    | Accelerator
    | Link
    | NvidiaDriver
    | Power
    | Software
    | Limits
    | PciDevice
    | NvidiaFiles
    | VisibleDevices
    | CudaIdentity
    | CudaProof
)


class Found(msgspec.Struct, frozen=True):
    """A part of the machine, fields not known to this source left out, and where it came from."""

    part: Part
    source: str


Fact: TypeAlias = Found | Attempt
Facts: TypeAlias = Iterator[Fact]
Collector: TypeAlias = Callable[[Host], Facts]


def ask(host: Host, source: str, question: Callable[[], _T | Failure]) -> tuple[_T | Failure, Attempt]:
    """The answer to one question, and the record that it was asked."""
    started = host.clock_s()
    answer = question()
    ms = round((host.clock_s() - started) * 1000, 2)
    if isinstance(answer, Failure):
        attempt = Attempt(
            source=source, result=answer.result, ms=ms, detail=answer.detail or None, code=answer.code
        )
    else:
        attempt = Attempt(source=source, result=AttemptResult.OK, ms=ms)
    return answer, attempt


def text_or_none(answer: str | Failure) -> str | None:
    """A short file's text without the line end; None for a failure or an empty file."""
    return None if isinstance(answer, Failure) else answer.strip() or None


def size_or_none(answer: int | str | Failure | None) -> int | None:
    """A size in bytes that a machine can have; None for negative, absurd or unreadable ones."""
    number = answer if isinstance(answer, int) else int_or_none(answer)
    return number if number is not None and 0 <= number < _ABSURD_BYTES else None


def int_or_none(answer: str | Failure | None, base: int = 10) -> int | None:
    """A number in a file or output; None for anything else."""
    if answer is None or isinstance(answer, Failure):
        return None
    try:
        return int(answer.strip(), base)
    except ValueError:
        return None
