"""The whole machine in one frozen value."""

import enum

import msgspec

from probe.machine.accelerator import Accelerator, AcceleratorKind, AcceleratorState
from probe.machine.attempt import Attempt, Source
from probe.machine.software import Software
from probe.machine.system import Cpu, Disk, Memory, Power

SCHEMA_VERSION = "1.0"


class HostOrigin(enum.Enum):
    """How we know the machine."""

    LIVE = "live"
    RECORDING = "recording"
    SPEC = "spec"


class OsFamily(enum.Enum):
    """The three families that differ for us."""

    LINUX = "linux"
    WINDOWS = "windows"
    MACOS = "macos"


class OperatingSystem(msgspec.Struct, frozen=True, kw_only=True):
    """System software under the tool. `family` None only for machines built from words."""

    family: OsFamily | None = None
    name: str | None = None  # "Ubuntu"
    version: str | None = None  # "24.04"
    edition: str | None = None  # Windows: "Professional", "Core", "Enterprise"
    kernel: str | None = None
    wsl: int | None = None  # 1 or 2
    container: str | None = None  # docker, podman, lxc, kubernetes ...
    glibc: str | None = None
    desktop: bool | None = None
    secure_boot: bool | None = None  # asked only where a driver's module is missing


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """Identity and system. `id` is random, made once per machine; None with --as."""

    id: str | None = None
    name: str | None = None
    origin: HostOrigin = HostOrigin.LIVE
    os: OperatingSystem = OperatingSystem()
    python: str | None = None
    python_bits: int | None = None


class NvidiaDriver(msgspec.Struct, frozen=True, kw_only=True):
    """Driver of the whole machine. `cuda_driver_version`: highest CUDA it supports, no toolkit."""

    driver_version: str | None = None
    cuda_driver_version: str | None = None
    kernel_module_version: str | None = None
    library_version: str | None = (
        None  # of the files beside the loader; differs after an update without a reboot
    )


class LinkKind(enum.Enum):
    """What connects two devices."""

    NVLINK = "nvlink"
    C2C = "c2c"
    PCIE = "pcie"
    HOST = "host"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A road between two devices, `cpu` or `gpu<index>`; bytes_per_s one way."""

    a: str
    b: str
    kind: LinkKind
    bytes_per_s: float | None = None
    peer_access: bool | None = None
    lanes: int | None = None  # active NVLinks between the two, or PCIe lanes
    generation: int | None = None  # of NVLink or PCIe
    topology: str | None = None  # common ancestor of two GPUs: internal pix pxb phb node sys


class Machine(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="machine"):
    """Everything known about one machine; every answer can be recomputed from it."""

    schema_version: str = SCHEMA_VERSION
    host: Host = Host()
    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    accelerators: tuple[Accelerator, ...] = ()
    nvidia: NvidiaDriver | None = None
    links: tuple[Link, ...] = ()
    disks: tuple[Disk, ...] = ()
    power: Power = Power()
    software: Software = Software()
    measurements: "tuple[Measurement, ...]" = ()
    provenance: dict[str, Source] = {}  # JSON pointer -> where the value came from
    attempts: tuple[Attempt, ...] = ()

    def usable_gpus(self) -> tuple[Accelerator, ...]:
        """Devices an engine may compute on: usable, discrete or unified."""
        kinds = (AcceleratorKind.DISCRETE, AcceleratorKind.UNIFIED)
        return tuple(
            device
            for device in self.accelerators
            if device.state is AcceleratorState.USABLE and device.kind in kinds
        )


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One figure measured here by `probe bench`; `fingerprint`: for which hardware and driver."""

    what: str  # ram_read_bytes_per_s, decode_tokens_per_s ...
    low: float
    value: float
    high: float
    unit: str
    at: str  # ISO 8601 UTC
    fingerprint: str
    subject: dict[str, str] = {}  # model, quantization, engine, device of the run
